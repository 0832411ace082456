package decide

// Ask is what a request asks for.
type Ask uint8

// The requests. Promise and Detach come from peers' keepers, Switchover, Failover
// and Leave from operators or peers, Drain from the job's drain script, Trigger
// from repmgrd's promote_command.
const (
	AskPromise    Ask = iota + 1 // do not challenge for a lease
	AskDetach                    // end the walreceiver, for a takeover
	AskSwitchover                // hand over to Target, or to the best
	AskFailover                  // take over now; Force: without comparing
	AskTrigger                   // repmgrd elected this node
	AskDrain                     // hand over when primary, then stop cleanly
	AskUndrain                   // the node goes on (the stop was cancelled)
	AskLeave                     // remove the member Target from the cluster
	AskAlone                     // as primary: remove all other members
)

// Request is one that has arrived since the last call of Decide.
type Request struct {
	ID     uint64 // chosen by the keeper, for the Reply
	Ask    Ask
	From   Node
	Holder Identity // of a promise: who asks; of a detach: who takes over
	Epoch  uint64   // of a promise or a detach
	Target Node
	Force  bool
}
