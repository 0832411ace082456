package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config of a stack.
type Config struct {
	Folder   Folder
	Stemcell string // tarball; may be empty when the director has one
	Release  string // tarball; may be empty when the director has one
	// CompiledPackages is a folder of compiled packages that outlives the
	// stack; empty: the director keeps its own.
	CompiledPackages string
	// ResurrectionDelay is how long a dead VM stays dead.
	ResurrectionDelay time.Duration
	// ConsulServers is 1 or 3; 0 keeps what the stack has, 1 at first.
	ConsulServers int
	// Report is told in one line what happens while the stack starts.
	Report func(format string, args ...any)
	Log    *slog.Logger
}

// Stack is a running one. End it with Stop, which leaves the VMs running, or
// with Down, which leaves nothing.
type Stack struct {
	config   Config
	folder   Folder
	binary   string // this executable
	settings settings
	log      *slog.Logger
	lock     *os.File

	ports ports
	ends  []func() // per part, in the order they started
}

// ErrRunning tells that another supervisor has the stack.
var ErrRunning = errors.New("the stack runs already: `holdfast status` shows it, `holdfast down` removes it")

// Up starts the stack in its folder and returns when the broker answers. When
// it fails, the parts it started have ended again.
func Up(ctx context.Context, config Config) (_ *Stack, err error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the holdfast binary: %w", err)
	}
	if err := config.Check(); err != nil {
		return nil, err // before anything is made
	}
	folder, err := filepath.Abs(string(config.Folder))
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	s := &Stack{config: config, folder: Folder(folder), binary: binary, log: config.Log}
	if s.lock, err = s.folder.lock(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	// Parts of a supervisor that was killed: they would hold ports and files.
	if err := endParts(s.folder); err != nil {
		return nil, err
	}
	if s.settings, err = loadSettings(s.folder); err != nil {
		return nil, err
	}
	if s.settings.Consul.Servers, err = consulServers(config.ConsulServers, s.settings.Consul.Servers); err != nil {
		return nil, err
	}
	if s.ports, err = holdPorts(s.settings.addresses()...); err != nil {
		return nil, err
	}
	if err := writeJSON(s.folder.processFile(supervisorName), self()); err != nil {
		return nil, err
	}
	return s, s.start(ctx)
}

const (
	supervisorName = "supervisor"
	// lockName is the file that marks a folder as a stack's.
	lockName = "stack.lock"
)

func self() Process {
	process, err := identify(os.Getpid())
	if err != nil {
		panic(err) // our own /proc entry cannot be missing
	}
	return process
}

// lock makes the folder and holds it against another supervisor. The lock goes
// with the process.
func (f Folder) lock() (*os.File, error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	lock, err := os.OpenFile(f.path(lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the stack's lock: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, ErrRunning
	}
	return lock, nil
}

func (s *Stack) start(ctx context.Context) error {
	for _, write := range []func() error{s.writeConfigs, s.writeTemplateDefaults} {
		if err := write(); err != nil {
			return err
		}
	}
	s.config.Report("starting the director on %s", s.settings.DirectorAddress)
	if err := s.startPart(ctx, s.directorPart()); err != nil {
		return err
	}
	if err := s.fillDirector(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		s.announced(s.deployerPart()), s.startConsul,
		func(context.Context) error { return s.writeConfigs() }, // now Consul's addresses are known
		s.announced(s.resolverPart()), s.announced(s.spiPart()), s.announced(s.brokerPart()),
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return writeJSON(s.folder.AccessFile(), s.access())
}

// Access is how a client reaches the broker, and where DNS for the instances'
// names is answered.
type Access struct {
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"`
	Resolver string `json:"resolver"`
	Domain   string `json:"domain"`
}

func (s *Stack) access() Access {
	return Access{URL: "http://" + s.settings.BrokerAddress, Username: s.settings.BrokerUsername, Password: s.settings.BrokerPassword, Resolver: s.settings.ResolverAddress, Domain: domain}
}

// Access tells how to reach the broker.
func (s *Stack) Access() Access { return s.access() }

func (s *Stack) announced(p part) func(context.Context) error {
	return func(ctx context.Context) error {
		s.config.Report("starting the %s", p.name)
		return s.startPart(ctx, p)
	}
}

// startLimit bounds a part's start.
const startLimit = time.Minute

func (s *Stack) startPart(ctx context.Context, p part) error {
	s.ports.release(p.addresses...)
	running, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	var deaths atomic.Int64
	go func() {
		defer close(done)
		s.supervise(running, p, &deaths)
	}()
	s.ends = append(s.ends, func() { end(); <-done })
	if err := waitReady(ctx, p, startLimit, &deaths); err != nil {
		if ctx.Err() != nil {
			return err
		}
		log := s.folder.LogFile(p.name)
		return fmt.Errorf("%w; the last line of %s: %s", err, log, lastLine(log))
	}
	return nil
}

// Stop ends the parts, the broker first. VMs go on running.
func (s *Stack) Stop() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	s.ends = nil
	s.ports.release(s.settings.addresses()...)
	if s.lock != nil {
		os.Remove(s.folder.processFile(supervisorName))
		s.lock.Close()
		s.lock = nil
	}
}

// Down removes a stack: its processes, VMs, disks, network and the folder.
// Nothing there is no error; repeating it after a failure goes on.
func Down(ctx context.Context, folder Folder, report func(format string, args ...any)) error {
	if _, err := os.Stat(string(folder)); errors.Is(err, fs.ErrNotExist) {
		report("nothing to remove: %s does not exist", folder)
		return nil
	}
	if _, err := os.Stat(folder.path(lockName)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not the folder of a stack: nothing is removed", folder)
	}
	report("ending the supervisor and the parts")
	if err := endSupervisor(folder); err != nil {
		return err
	}
	if err := endParts(folder); err != nil {
		return err
	}
	report("removing VMs, disks and network")
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the holdfast binary: %w", err)
	}
	destroy := exec.CommandContext(ctx, binary, "director", "destroy", "--dir", folder.DirectorDir())
	// Ctrl-C at a terminal must not end it half-way: ctx says when to stop.
	destroy.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	destroy.Cancel = func() error { return destroy.Process.Signal(syscall.SIGTERM) }
	destroy.WaitDelay = grace
	return aloud(report, "still removing", func() error {
		if output, err := destroy.CombinedOutput(); err != nil {
			return fmt.Errorf("remove the director's VMs: %w: %s", err, strings.TrimSpace(string(output)))
		}
		if err := os.RemoveAll(string(folder)); err != nil {
			return fmt.Errorf("remove the state folder: %w", err)
		}
		return nil
	})
}

// longestSilence is how long a stack says nothing while it starts or goes.
const longestSilence = 2 * time.Second

// aloud runs f with signs of life.
func aloud(report func(format string, args ...any), what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	tick := time.NewTicker(longestSilence)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			report("%s …", what)
		}
	}
}

func endSupervisor(folder Folder) error {
	var supervisor Process
	found, err := readJSON(folder.processFile(supervisorName), &supervisor)
	if err != nil || !found || supervisor == self() || supervisor.PID == os.Getpid() {
		return err
	}
	return supervisor.end(2 * grace)
}

// partNames are the parts in the order they start.
var partNames = []string{"director", "deployer", "resolver", "spi", "broker"}

// endParts ends what recorded parts still run, the last started first.
func endParts(folder Folder) error {
	for i := len(partNames) - 1; i >= 0; i-- {
		var process Process
		found, err := readJSON(folder.processFile(partNames[i]), &process)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := process.end(grace); err != nil {
			return fmt.Errorf("end the %s: %w", partNames[i], err)
		}
		if err := os.Remove(folder.processFile(partNames[i])); err != nil && !errors.Is(err, fs.ErrNotExist) { // whoever started it forgot it too
			return fmt.Errorf("forget the %s: %w", partNames[i], err)
		}
	}
	return nil
}

// DirectorAccess is how the bosh CLI reaches the director.
type DirectorAccess struct {
	URL, Username, CAFile string
	SecretsFile           string // holds director_password
}

// DirectorAccess tells how to reach the director.
func (s *Stack) DirectorAccess() DirectorAccess {
	return DirectorAccess{URL: "https://" + s.settings.DirectorAddress, Username: s.settings.DirectorUsername, CAFile: s.folder.DirectorCA(), SecretsFile: s.folder.settingsFile()}
}
