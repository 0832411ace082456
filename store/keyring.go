package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Key is one encryption key.
type Key struct {
	ID    string        `yaml:"id"`    // written beside what it sealed: 1 to 32 of A-Z a-z 0-9 . _ -
	Value secret.Secret `yaml:"value"` // 32 random bytes in standard base64
}

// Keyring seals and opens sealed columns. The first key seals, all keys open:
// to rotate, put a new key in front and keep the old one until no row names it.
type Keyring struct {
	active string
	aeads  map[string]cipher.AEAD
}

var keyID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

const sealFormat = 1

// NewKey makes a random key value.
func NewKey() string {
	raw := make([]byte, 32)
	// crypto/rand.Read never returns an error: it ends the process instead.
	_, _ = rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

// NewKeyring checks every key and reports all faults at once, by dotted key.
func NewKeyring(keys []Key) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("keys: at least one must be given")
	}
	ring := &Keyring{active: keys[0].ID, aeads: make(map[string]cipher.AEAD, len(keys))}
	var faults []error
	for i, k := range keys {
		if !keyID.MatchString(k.ID) {
			faults = append(faults, fmt.Errorf("keys[%d].id: must match %s, got %q", i, keyID, k.ID))
		}
		if _, twice := ring.aeads[k.ID]; twice {
			faults = append(faults, fmt.Errorf("keys[%d].id: %q is used twice", i, k.ID))
		}
		aead, err := newAEAD(k.Value)
		if err != nil {
			faults = append(faults, fmt.Errorf("keys[%d].value: %w", i, err))
			continue
		}
		ring.aeads[k.ID] = aead
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return ring, nil
}

func newAEAD(value secret.Secret) (cipher.AEAD, error) {
	raw, err := base64.StdEncoding.DecodeString(value.Reveal())
	if err != nil {
		// The error of the decoder would quote a part of the key.
		return nil, errors.New("must be standard base64")
	}
	if len(raw) != 32 {
		return nil, fmt.Errorf("must be 32 bytes, got %d", len(raw))
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Has tells whether a key is configured.
func (k *Keyring) Has(keyID string) bool {
	_, ok := k.aeads[keyID]
	return ok
}

// Seal encrypts. row names the column's table and row; only the same row opens
// it again, so that sealed values cannot be swapped between rows.
//
// Layout: format byte, length of the key's id, the id, nonce, ciphertext.
func (k *Keyring) Seal(row string, plain []byte) []byte {
	aead := k.aeads[k.active]
	out := append([]byte{sealFormat, byte(len(k.active))}, k.active...)
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	out = append(out, nonce...)
	return aead.Seal(out, nonce, plain, []byte(row))
}

// Open decrypts what Seal made for the same row.
func (k *Keyring) Open(row string, sealed []byte) ([]byte, error) {
	id, rest, err := SealedWith(sealed)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", row, err)
	}
	aead, ok := k.aeads[id]
	if !ok {
		return nil, fmt.Errorf("open %s: it is sealed with key %q, which is not configured", row, id)
	}
	if len(rest) < aead.NonceSize() {
		return nil, fmt.Errorf("open %s: the sealed value is too short", row)
	}
	nonce, cipherText := rest[:aead.NonceSize()], rest[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, cipherText, []byte(row))
	if err != nil {
		return nil, fmt.Errorf("open %s: key %q does not open it: the key is another one or the row was tampered with", row, id)
	}
	return plain, nil
}

// SealedWith tells which key sealed a value, and what follows the key's id.
func SealedWith(sealed []byte) (keyID string, rest []byte, err error) {
	if len(sealed) < 2 || sealed[0] != sealFormat || len(sealed) < 2+int(sealed[1]) {
		return "", nil, errors.New("not a sealed value")
	}
	end := 2 + int(sealed[1])
	return string(sealed[2:end]), sealed[end:], nil
}
