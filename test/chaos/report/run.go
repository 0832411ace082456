package report

import (
	"fmt"
	"time"
)

// Setup is what was tested: runs of one setup and fault are counted together.
type Setup struct {
	System      string `json:"system"` // "holdfast" or a baseline
	Plan        string `json:"plan"`
	Replication string `json:"replication"` // "async", "quorum"; "none" for a single node
}

func (s Setup) String() string {
	text := s.System + " " + s.Plan
	if s.Replication != "none" {
		text += " " + s.Replication
	}
	return text
}

// Run is one line of the results: what one injected fault did. Times are
// seconds; those that are moments count from the fault.
type Run struct {
	Setup
	Fault   string    `json:"fault"`
	Number  int       `json:"run"`
	Began   time.Time `json:"began"`
	Version string    `json:"version"` // of the source
	Load    float64   `json:"load"`    // of the machine before the run: others work on it
	// Clusters were under test on the machine at that time, this one included.
	Clusters int     `json:"clusters"`
	Took     float64 `json:"took_s"` // from the first look at the cluster to the last at its rows

	WriteOutage     float64  `json:"write_outage_s"` // longest pause between acknowledgements, through the alias
	MultiHostOutage float64  `json:"multihost_outage_s"`
	ReadOutage      *float64 `json:"read_outage_s"` // through the replica alias

	Acknowledged int     `json:"acknowledged"`
	Lost         Lost    `json:"lost"`
	Lag          *Lag    `json:"lag,omitempty"`         // with asynchronous replication
	RowsUnread   bool    `json:"rows_unread,omitempty"` // no node took writes any more: what is lost is not known
	OldLast      *Moment `json:"old_last_ack_s"`        // the last acknowledgement on the old timeline
	NewFirst     *Moment `json:"new_first_ack_s"`       // the first on a new one; none: nobody was promoted
	Overlap      float64 `json:"overlap_s"`             // how long an older timeline acknowledged after a newer one had; 0: never

	HealedAfter Moment   `json:"healed_s"`          // when the fault's cause was taken away
	Writable    float64  `json:"writable_s"`        // after the fault's end
	Healthy     *float64 `json:"healthy_s"`         // all nodes again, after the fault's end; none: stuck
	FenceLate   *float64 `json:"fence_late_s"`      // how late the fence struck, by the node's own report
	Decided     string   `json:"decided,omitempty"` // who decided and why, by the new primary's report

	FaultBucket int               `json:"fault_bucket"` // of Writes
	Writes      map[string]Counts `json:"writes"`       // acknowledged per 100 ms, by client
}

// Failed tells that the cluster did not become whole again: that it is stuck, or
// waits for somebody's hand.
func (r Run) Failed() bool { return r.Healthy == nil }

// Lag is what an asynchronous primary had acknowledged and no standby received.
type Lag struct {
	Rows  int   `json:"rows"`  // acknowledged by the fault's moment, beyond what was received just before
	Bytes int64 `json:"bytes"` // of the log, the newest of these rows ahead of what was received
	After int   `json:"after"` // rows that a primary acknowledged since from which another took over
}

// Counts are small numbers, a digit each as JSON: 9 stands for more as well.
type Counts []int

// MarshalText writes the digits.
func (c Counts) MarshalText() ([]byte, error) {
	text := make([]byte, len(c))
	for i, n := range c {
		text[i] = '0' + byte(min(n, 9))
	}
	return text, nil
}

// UnmarshalText reads the digits.
func (c *Counts) UnmarshalText(text []byte) error {
	*c = make(Counts, len(text))
	for i, digit := range text {
		if digit < '0' || digit > '9' {
			return fmt.Errorf("%q is no digit", digit)
		}
		(*c)[i] = int(digit - '0')
	}
	return nil
}

// Moment is a time in seconds.
type Moment = float64

// Lost are acknowledged rows that were not there afterwards.
type Lost struct {
	Rows     int            `json:"rows"`
	ByClient map[string]int `json:"by_client,omitempty"`
	Span     float64        `json:"span_s"` // between the first and the last lost acknowledgement
}
