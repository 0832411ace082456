package task

import "sync"

// output is one of a task's append-only output files.
type output struct {
	mu sync.Mutex
}

func (o *output) Write(p []byte) (int, error) { return len(p), nil }
