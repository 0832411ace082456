package status

import (
	"slices"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
)

// Report is the answer of GET /v1/status: what peers judge by, and what people read besides.
type Report struct {
	decide.Status
	Deployment string      `json:"deployment"`
	Server     string      `json:"server"`  // gone, starting, up, stopping, remains
	Primary    decide.Node `json:"primary"` // who holds the lease, as last read
	// Where the primary's keeper is asked.
	PrimaryAddress string `json:"primary_address"`
	PrimaryPort    int    `json:"primary_port"`

	Lease   string         `json:"lease"`     // in words
	Members []decide.Node  `json:"members"`   // as last read
	Consul  string         `json:"consul"`    // "answers", or since when it does not
	Lag     int64          `json:"lag_bytes"` // of a standby, behind what the primary last published
	Fence   *guard.Fencing `json:"fence,omitempty"`
	Last    Transition     `json:"last_transition"`
}

// Member says whether the node may take over.
func (r Report) Member() bool { return slices.Contains(r.Members, r.Node) }

// Transition is a change of role.
type Transition struct {
	From decide.Role `json:"from"`
	To   decide.Role `json:"to"`
	Why  string      `json:"why"`
	At   time.Time   `json:"at"`
}

// Answer is the answer of a POST.
type Answer struct {
	Granted bool   `json:"granted"`
	Why     string `json:"why,omitempty"`
}

// request is the body of a POST.
type request struct {
	From   decide.Node     `json:"from,omitempty"`
	Holder decide.Identity `json:"holder,omitempty"`
	Epoch  uint64          `json:"epoch,omitempty"`
	Target decide.Node     `json:"target,omitempty"`
	Force  bool            `json:"force,omitempty"`
}

// doors are where each Ask is posted.
var doors = map[decide.Ask]string{
	decide.AskPromise: "promise", decide.AskDetach: "detach", decide.AskSwitchover: "switchover", decide.AskFailover: "failover",
	decide.AskTrigger: "trigger", decide.AskDrain: "drain", decide.AskUndrain: "undrain", decide.AskLeave: "leave", decide.AskAlone: "alone",
}
