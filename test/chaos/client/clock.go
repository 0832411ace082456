package client

import "time"

// Clock gives every client of a run the same monotonic time since its begin.
type Clock struct{ begin time.Time }

// NewClock begins a run's time now.
func NewClock() Clock { return Clock{time.Now()} }

// Now is the time since the run's begin.
func (c Clock) Now() time.Duration { return time.Since(c.begin) }
