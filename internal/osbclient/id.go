package osbclient

import (
	"crypto/rand"
	"fmt"
)

// NewID makes a random UUID (version 4), as platforms use for ids.
func NewID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails, by its documentation
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
