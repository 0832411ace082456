package guard

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is what to start.
type program struct {
	argv       []string
	env        []string
	log        string // where its output is appended
	credential *syscall.Credential
	dieWithUs  bool
}

// spawner starts programs from one thread that never ends: the parent-death
// signal is bound to the thread that started the child, not to the process.
type spawner struct{ work chan func() }

func newSpawner() *spawner {
	s := &spawner{work: make(chan func())}
	go func() {
		runtime.LockOSThread()
		// What this thread starts can gain nothing by setuid programs.
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		for job := range s.work {
			job()
		}
	}()
	return s
}

// start returns the pid of the started program, which leads a session of its own.
func (s *spawner) start(p program) (int, error) {
	out, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return 0, fmt.Errorf("open the log of %s: %w", p.argv[0], err)
	}
	defer out.Close()
	if p.credential != nil {
		if err := out.Chown(int(p.credential.Uid), int(p.credential.Gid)); err != nil {
			return 0, fmt.Errorf("give the log to the server's user: %w", err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: "/", Env: p.env,
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Credential: p.credential},
	}
	if p.dieWithUs {
		attr.Sys.Pdeathsig = syscall.SIGKILL
	}
	var pid int
	done := make(chan struct{})
	s.work <- func() {
		defer close(done)
		pid, err = syscall.ForkExec(p.argv[0], p.argv, attr)
	}
	<-done
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", p.argv[0], err)
	}
	return pid, nil
}
