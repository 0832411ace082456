package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The descriptors that a VM's init is started with.
const (
	configFD = 3 // it reads its bootConfig here and goes on when all of it came
	statusFD = 4 // it writes here why it failed; closed without a word means success
)

// bootConfig tells a VM's init what to make of the namespaces it finds itself in.
type bootConfig struct {
	Stemcell   string // the overlay's lower folder
	Dir        vmDir
	Hostname   string
	Addresses  []netip.Prefix
	StackRange netip.Prefix // reachable without a gateway
	DNS        []netip.Addr
	Devices    []guestNode
	CgroupV2   bool
	Cgroups    []string // v1 controllers to show inside
	Meminfo    bool     // there is one of the VM's own
}

// guestNode is a block device in the VM's /dev.
type guestNode struct {
	Name         string
	Major, Minor uint32
}

func (h *Host) bootConfig(r record, devices []guestNode) bootConfig {
	c := bootConfig{
		Stemcell: h.stemcellRoot(r.StemcellCID), Dir: h.vmDir(r.CID), Hostname: r.AgentID,
		StackRange: h.stack.Subnet, Devices: devices, CgroupV2: h.cgroups.unified != "",
		Meminfo: r.MemoryMiB > 0,
	}
	for _, name := range r.networkNames() {
		n := r.Networks[name]
		c.Addresses = append(c.Addresses, n.Address)
		c.DNS = append(c.DNS, n.DNS...)
	}
	for controller := range h.cgroups.mounts {
		c.Cgroups = append(c.Cgroups, controller)
	}
	return c
}

// initProcess is a VM's init while it waits to be let go.
type initProcess struct {
	command *exec.Cmd
	config  *os.File // our end
	status  *os.File
}

// startInit starts pid 1 of new namespaces. It waits for its bootConfig; if we
// die before it has come, it ends.
func startInit(command []string, console string) (*initProcess, error) {
	out, err := os.OpenFile(console, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start init: %w", err)
	}
	defer func() { _ = out.Close() }()
	theirConfig, config, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start init: %w", err)
	}
	defer func() { _ = theirConfig.Close() }()
	status, theirStatus, err := os.Pipe()
	if err != nil {
		_ = config.Close()
		return nil, fmt.Errorf("start init: %w", err)
	}
	defer func() { _ = theirStatus.Close() }()
	p := &initProcess{command: exec.Command(command[0], command[1:]...), config: config, status: status}
	p.command.Stdout, p.command.Stderr = out, out
	p.command.Dir = "/"
	p.command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	p.command.ExtraFiles = []*os.File{theirConfig, theirStatus}
	p.command.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // signals to the director's terminal are none of the VM's business
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if err := p.command.Start(); err != nil {
		p.close()
		return nil, fmt.Errorf("start init in namespaces of its own: %w", err)
	}
	return p, nil
}

func (p *initProcess) close() {
	_ = p.config.Close()
	_ = p.status.Close()
}

// release hands over the configuration and waits until init has become the
// stemcell's, or returns why it could not.
func (p *initProcess) release(ctx context.Context, config bootConfig) error {
	raw, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("configure init: %w", err)
	}
	unhook := context.AfterFunc(ctx, func() {
		// Ends the reading below.
		_ = p.status.SetReadDeadline(time.Unix(1, 0))
	})
	defer unhook()
	if _, err := p.config.Write(raw); err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("configure init: %w", err)
	}
	if err := p.config.Close(); err != nil {
		return fmt.Errorf("configure init: %w", err)
	}
	said, err := p.listen()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("wait for init: %w", err)
	case said == handingOver:
		return nil
	case said == "":
		return errors.New("init ended without saying why")
	default:
		return fmt.Errorf("init: %s", strings.TrimPrefix(said, handingOver+"\n"))
	}
}

// explain adds to an error about an init that has ended what it said about it.
func (p *initProcess) explain(err error) error {
	_ = p.status.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if said, listenErr := p.listen(); listenErr == nil && said != "" {
		return fmt.Errorf("init: %s (%w)", strings.TrimPrefix(said, handingOver+"\n"), err)
	}
	return err
}

// listen returns all that init says until it has closed its end.
func (p *initProcess) listen() (string, error) {
	said, err := io.ReadAll(io.LimitReader(p.status, 64<<10))
	return strings.TrimSpace(string(said)), err
}
