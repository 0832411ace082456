package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// handingOver is init's last word before it becomes the stemcell's. Silence
// would be the same as being killed.
const handingOver = "ok"

// InitMain is a VM's pid 1 until it hands over to the stemcell's /sbin/init.
// Only CreateVM starts it. It returns only when it failed; the reason has then
// reached CreateVM as well.
func InitMain(_ []string) error {
	if os.Getpid() != 1 {
		return errors.New("this is the first process of a VM: only the director starts it")
	}
	// Capabilities and the cgroup namespace belong to a thread: the one that
	// gives them up must be the one that hands over.
	runtime.LockOSThread()
	unix.CloseOnExec(configFD)
	unix.CloseOnExec(statusFD)
	status := os.NewFile(statusFD, "status")
	err := runInit(status)
	_, _ = fmt.Fprintln(status, err)
	return err
}

func runInit(status *os.File) error {
	var config bootConfig
	if err := json.NewDecoder(os.NewFile(configFD, "config")).Decode(&config); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	steps := []struct {
		what string
		do   func(bootConfig) error
	}{
		{"enter the cgroup namespace", func(bootConfig) error { return unix.Unshare(unix.CLONE_NEWCGROUP) }},
		{"mount the root", mountRoot},
		{"mount the kernel's file systems", mountKernel},
		{"make devices", makeDevices},
		{"cover the machine", coverHost},
		{"mount cgroups", mountCgroups},
		{"set the hostname", func(c bootConfig) error { return unix.Sethostname([]byte(c.Hostname)) }},
		{"set up the network", setUpNetwork},
		{"write the resolver's configuration", writeResolver},
		{"change the root", pivot},
		{"set limits", setLimits},
		{"drop capabilities", dropCapabilities},
	}
	for _, s := range steps {
		if err := s.do(config); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	if _, err := fmt.Fprintln(status, handingOver); err != nil {
		return err
	}
	environment := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	return fmt.Errorf("start /sbin/init: %w", unix.Exec("/sbin/init", []string{"/sbin/init"}, environment))
}

func setLimits(bootConfig) error {
	unix.Umask(0o022)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur = min(65536, files.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		return err
	}
	core.Cur = 0
	return unix.Setrlimit(unix.RLIMIT_CORE, &core)
}

// deniedCapabilities reach the machine beyond the namespaces.
var deniedCapabilities = []uintptr{
	unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_BOOT, unix.CAP_SYS_TIME, unix.CAP_WAKE_ALARM,
	unix.CAP_MKNOD, unix.CAP_DAC_READ_SEARCH, unix.CAP_SYSLOG, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE,
	unix.CAP_AUDIT_CONTROL, unix.CAP_AUDIT_READ, unix.CAP_BLOCK_SUSPEND, unix.CAP_PERFMON, unix.CAP_BPF,
	unix.CAP_LINUX_IMMUTABLE, unix.CAP_SYS_PACCT,
}

func dropCapabilities(bootConfig) error {
	for _, c := range deniedCapabilities {
		// EINVAL: this kernel does not know the capability, so nobody has it.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("capability %d: %w", c, err)
		}
	}
	return nil
}
