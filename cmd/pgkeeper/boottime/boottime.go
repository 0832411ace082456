// Package boottime reads CLOCK_BOOTTIME, the clock that all deadlines are on: it
// goes on while the machine sleeps and nobody can set it. Go's timers use another one.
package boottime

import (
	"golang.org/x/sys/unix"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// Now returns the present instant.
func Now() decide.Instant {
	var ts unix.Timespec
	// It fails for bad arguments only.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return decide.Instant(ts.Nano())
}
