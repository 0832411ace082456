package vm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHostIsInvisible(t *testing.T) {
	f := newFixture(t)
	secret := filepath.Join(f.dir, "host-secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	resolver, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	v, _ := f.create(t, f.spec(10))

	for name, command := range map[string]string{
		"files":            "test -e " + secret,
		"the old root":     "ls -d /.old /oldroot",
		"block devices":    "find /dev -type b | grep .",
		"device nodes":     "mknod /tmp/node b 7 0",
		"kernel settings":  "echo 7 >/proc/sys/vm/swappiness",
		"its own settings": "touch /var/vcap/bosh/vm/x",
		"network links":    "ip -o link | grep -v -e ' lo:' -e ' eth0@'",
		"mounts":           "awk '{print $2}' /proc/mounts | grep ^" + f.dir,
	} {
		if out, err := inside(t, v, command); err == nil {
			t.Errorf("%s of the machine can be reached from a VM: %s: %s", name, command, out)
		}
	}
	// Processes: the VM's first is its init, and none of the test's is there.
	if got := mustInside(t, v, "cat /proc/1/comm"); got != "tini" {
		t.Errorf("pid 1 is %s", got)
	}
	if out := mustInside(t, v, "cat /proc/[0-9]*/comm"); strings.Contains(out, "vm.test") {
		t.Errorf("the test's process is visible in the VM: %s", out)
	}
	if got := mustInside(t, v, "hostname; awk -F: '$3 >= 1000 && $3 < 65000 {print $1}' /etc/passwd; ls /home"); got != "agent-10\nvcap\nvcap" {
		t.Errorf("hostname, users and homes in the VM: %q", got)
	}
	if got := mustInside(t, v, "cat /etc/resolv.conf"); !strings.Contains(got, f.gateway.String()) || strings.Contains(got, strings.TrimSpace(string(resolver))) {
		t.Errorf("the VM's resolv.conf: %q", got)
	}
	if now, err := os.ReadFile("/etc/resolv.conf"); err != nil || string(now) != string(resolver) {
		t.Errorf("the machine's resolv.conf changed: %q", now)
	}
	if got := mustInside(t, v, "head -1 /proc/self/cgroup >/dev/null; cat /proc/1/cgroup"); strings.Contains(got, f.Stack().Name) {
		t.Errorf("the VM sees where its cgroup lies: %s", got)
	}
	// What must not be tried here is looked up: clock, modules, raw devices, nodes.
	if got := mustInside(t, v, "awk '/CapBnd/ {print substr($2, 9)}' /proc/1/status"); !deniesMachine(t, got) {
		t.Errorf("init's capabilities: %s", got)
	}
}

func deniesMachine(t *testing.T, lowHalf string) bool {
	t.Helper()
	var bits uint64
	for _, c := range lowHalf {
		bits = bits<<4 | uint64(strings.IndexRune("0123456789abcdef", c))
	}
	const sysModule, sysRawIO, sysBoot, sysTime, mknod, dacReadSearch = 16, 17, 22, 25, 27, 2
	for _, c := range []uint{sysModule, sysRawIO, sysBoot, sysTime, mknod, dacReadSearch} {
		if bits&(1<<c) != 0 {
			return false
		}
	}
	return true
}
