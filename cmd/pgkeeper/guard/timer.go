package guard

import (
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// deadlineTimer calls back when an instant of CLOCK_BOOTTIME has come. Go's own
// timers stand still while the machine sleeps.
type deadlineTimer struct{ fd int }

func newDeadlineTimer(expired func()) (*deadlineTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make the deadline's timer: %w", err)
	}
	t := &deadlineTimer{fd: fd}
	go t.wait(expired)
	return t, nil
}

// wait runs on a thread of its own, which goes before others where that is allowed.
func (t *deadlineTimer) wait(expired func()) {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -15)
	var count [8]byte
	for {
		n, err := unix.Read(t.fd, count[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return // closed
		}
		if n == len(count) && binary.NativeEndian.Uint64(count[:]) > 0 {
			expired()
		}
	}
}

// set replaces the instant; Forever and never disarm.
func (t *deadlineTimer) set(at decide.Instant) error {
	var spec unix.ItimerSpec
	if at != decide.Forever && at != 0 {
		spec.Value = unix.NsecToTimespec(int64(at))
	}
	if err := unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("set the deadline's timer: %w", err)
	}
	return nil
}
