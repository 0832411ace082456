// Package decide is the keeper's judgement: one pure function from what was
// observed and the clock to what to do next.
//
// It performs nothing: no file, no network, no clock of its own. The keeper
// calls Decide whenever something changed and at least once every Config.Tick,
// carries out the actions, and hands their results back in the next
// Observation. The simulation in ../simulate runs the same function.
//
// # How actions are carried out
//
//   - An action may take long (a clone: hours); it must not delay the next call
//     of Decide. While one runs its Kind is in Observation.Running, and Decide
//     does not ask for it again.
//   - Every action may be repeated without harm. Its end comes back once as a
//     Result; an action that is forgotten (the keeper was restarted) is simply
//     decided again from what is observed then.
//   - At most one action that touches PostgreSQL's processes, data or
//     configuration runs at a time, in the order given. Fence alone overtakes:
//     it is carried out at once and ends what runs.
//   - Extending the fence (ExtendFence) is never queued behind anything either.
//   - Reply answers the request of that id; a request without a Reply is still
//     being worked on, and its asker asks again or polls the status.
//
// # What is remembered
//
// State lives in the keeper's memory only. What must outlive the process is on
// disk with the data (Data, by Remember) or in Consul. A keeper that begins
// anew therefore waits a whole lease before it challenges, which also covers
// every promise its predecessor gave.
package decide
