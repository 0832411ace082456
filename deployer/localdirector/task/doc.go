// Package task runs the local director's work: it queues tasks, runs them on a
// fixed number of workers, keeps their event, debug, result and cpi output
// in files, cancels them and hands out the locks they take.
//
// A task's life, as the director's API shows it:
//
//	queued ──▶ processing ──▶ done | error
//	   │            │ cancel
//	   │            ▼
//	   │        cancelling ──▶ cancelled | done | error
//	   └──────────────────────▶ cancelled
//
// The row is stored before Enqueue returns. What a task does is a Go function
// and does not survive the process: Open ends every unfinished task of an
// earlier process in error, with an error line in its event output, and its
// locks are gone. Repeating the request repairs what was left half done.
//
// Events and results are for the user who asked; the debug log is for the
// operator. Secrets told to Run.Redact are masked in all but the result.
package task
