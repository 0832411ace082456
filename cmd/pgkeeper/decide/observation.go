package decide

// Observation is everything known at one moment.
type Observation struct {
	Now      Instant
	Local    Local
	Consul   Consul
	Peers    []Peer    // the other registered nodes, ordered
	Requests []Request // arrived since the last call
	Results  []Result  // of actions that ended since the last call, in order
	Running  Kinds     // actions under way
}

// Outcome is how an action ended.
type Outcome uint8

// The outcomes. Unknown is for Consul only: the answer was lost, so the write
// may have happened, or may still happen.
const (
	OK Outcome = iota
	Refused
	Failed
	Unknown
)

func (o Outcome) String() string {
	return [...]string{"ok", "refused", "failed", "unknown"}[o]
}

// Result is how an action ended.
type Result struct {
	Action  Action
	Outcome Outcome
	Err     string  // for the log and the status
	Started Instant // before the first byte of the request left
	View    *View   // of a Write: the reading that came with it
	Node    Node    // of AskPromises: whose answer it is; one Result each
	Last    bool    // of AskPromises: no more answers will come
}
