// Package operation advances the rows of asynchronous requests: create,
// update and delete of service instances, one idempotent step at a time.
//
// A step is: do what the state asks for (effects.go), decide what follows from
// what was seen (next.go, pure), write that down with compare-and-swap
// (save.go). The process may be killed between any two instructions: whoever
// holds the row next repeats the step. No request is answered here, and
// nothing here knows a data service or the service broker API.
package operation
