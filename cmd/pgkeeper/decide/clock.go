package decide

import (
	"fmt"
	"time"
)

// Instant is a point in time on this node's CLOCK_BOOTTIME, which goes on while
// the machine sleeps and is never set. Instants of two nodes cannot be compared.
// The zero Instant means never.
type Instant time.Duration

// Forever is a deadline that does not come: the server of a sole member.
const Forever = Instant(1<<63 - 1)

// Add returns the instant d later.
func (t Instant) Add(d time.Duration) Instant {
	if t == Forever {
		return Forever
	}
	return t + Instant(d)
}

// Sub returns how long u is before t.
func (t Instant) Sub(u Instant) time.Duration { return time.Duration(t - u) }

// Before says whether t comes before u.
func (t Instant) Before(u Instant) bool { return t < u }

func (t Instant) String() string {
	switch t {
	case 0:
		return "never"
	case Forever:
		return "forever"
	}
	return fmt.Sprintf("%.3fs", time.Duration(t).Seconds())
}
