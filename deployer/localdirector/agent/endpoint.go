package agent

import (
	"fmt"
	"log/slog"
)

// Endpoint is what a client must know to reach one agent. Printing or logging
// it shows the address only.
type Endpoint struct {
	Address  string `json:"address"` // ip:port
	User     string `json:"user"`
	Password string `json:"password"`
	CA       string `json:"ca"` // PEM; signs the agent's server certificate, which names the IP
}

// String returns the address.
func (e Endpoint) String() string { return "https://" + e.Address }

// Format keeps the password out of every verb, %+v and %#v included.
func (e Endpoint) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, e.String()) }

// LogValue logs the address only.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.String()) }
