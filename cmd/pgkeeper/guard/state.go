package guard

import (
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// Phase is what the guard knows of the server's processes.
type Phase string

// The phases. Gone is proof: the processes were looked for.
const (
	Gone     Phase = "gone"
	Running  Phase = "running"
	Stopping Phase = "stopping"
	Remains  Phase = "remains" // the postmaster ended, others are being killed
)

// State is the guard's answer to every command and what watchers are sent on each change.
type State struct {
	Phase      Phase          `json:"phase"`
	Postmaster int            `json:"postmaster,omitempty"`
	Starts     uint64         `json:"starts"` // servers started since the guard began
	Deadline   decide.Instant `json:"deadline"`
	Ended      string         `json:"ended,omitempty"` // how the last server ended
	Fence      *Fencing       `json:"fence,omitempty"`
	Err        string         `json:"err,omitempty"` // why the command was refused or failed
}

// Fencing tells of the last time that the deadline passed with a server running.
type Fencing struct {
	Deadline decide.Instant `json:"deadline"`
	Stopped  time.Duration  `json:"stopped_after"` // lateness of the postmaster's SIGSTOP
	Late     time.Duration  `json:"gone_after"`    // lateness of the proof that none remains
	Killed   int            `json:"killed"`
	At       time.Time      `json:"at"`
}

// command is a request on the socket, one JSON object a line.
type command struct {
	Do       string         `json:"do"` // state, watch, start, stop, kill, reload, extend, alive, quit
	Deadline decide.Instant `json:"deadline,omitempty"`
	Mode     string         `json:"mode,omitempty"`
	Within   time.Duration  `json:"within,omitempty"`
	Why      string         `json:"why,omitempty"`
}
