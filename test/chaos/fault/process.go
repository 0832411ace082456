package fault

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

func processFaults() []Fault {
	kill := func(what string, match func(lab.Process) bool) func(context.Context, *cluster.Cluster, cluster.Node) (Heal, error) {
		return func(_ context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
			vm, err := c.VM(primary)
			if err != nil {
				return nil, err
			}
			return nothing, vm.Signal(unix.SIGKILL, what, match)
		}
	}
	return []Fault{
		{
			Name: "postgres-killed", About: "kill -9 of the primary's postmaster", Nodes: 1,
			Outage: 3 * time.Second, Single: 10 * time.Second, Inject: kill("postmaster", postmaster),
		},
		{
			Name: "postgres-killed-busy", About: "kill -9 of the primary's postmaster while sessions are busy: they outlive it", Nodes: 1,
			Outage: 3 * time.Second, Single: 10 * time.Second, Inject: killBusy,
		},
		{
			Name: "keeper-killed", About: "kill -9 of the primary's keeper", Nodes: 1,
			Outage: 12 * time.Second, Single: 12 * time.Second, Inject: kill("keeper", keeper),
		},
		{
			Name: "guard-killed", About: "kill -9 of the primary's guard", Nodes: 1,
			Outage: 12 * time.Second, Single: 12 * time.Second, Inject: kill("guard", guard),
		},
		{
			Name: "keeper-stopped", About: "SIGSTOP of the primary's keeper for 30 s", Nodes: 1, Hold: 30 * time.Second,
			Outage: 12 * time.Second, Single: 12 * time.Second, Inject: stopKeeper,
		},
		{
			Name: "repmgrd-killed", About: "kill -9 of the primary's repmgrd", Nodes: 2,
			Outage: 12 * time.Second, Inject: kill("repmgrd", repmgrd),
		},
	}
}

// stopKeeper stops it as a debugger or an exhausted machine would.
func stopKeeper(_ context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
	vm, err := c.VM(primary)
	if err != nil {
		return nil, err
	}
	var stopped []int
	err = vm.Signal(unix.SIGSTOP, "keeper", func(p lab.Process) bool {
		if keeper(p) {
			stopped = append(stopped, p.PID)
		}
		return keeper(p)
	})
	return func(context.Context) error {
		// The guard may have replaced it: whoever still is stopped goes on.
		processes, err := vm.Processes()
		if err != nil {
			return nil // the VM is gone, and with it what was stopped
		}
		for _, p := range processes {
			for _, pid := range stopped {
				if p.PID == pid {
					_ = unix.Kill(pid, unix.SIGCONT) // gone meanwhile
				}
			}
		}
		return nil
	}, err
}

// killBusy lets sessions compute while their postmaster dies: they go on until
// they look for their client again.
func killBusy(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
	const sessions = 4
	for range sessions {
		conn, err := c.Login.To(primary.Address, c.Names)(ctx)
		if err != nil {
			return nil, err
		}
		go func() {
			// It ends with the server, which is what the fault does.
			_, _ = conn.Exec(ctx, "SELECT count(*) FROM generate_series(1, 100000000)")
			_ = conn.Close(ctx)
		}()
	}
	vm, err := c.VM(primary)
	if err != nil {
		return nil, err
	}
	return nothing, vm.Signal(unix.SIGKILL, "postmaster", postmaster)
}

// postmaster is the server's own process; its children call themselves after
// what they do.
func postmaster(p lab.Process) bool {
	return p.Name == "postgres" && len(p.Args) > 1 && filepath.Base(p.Args[0]) == "postgres"
}

func keeper(p lab.Process) bool  { return pgkeeper(p, "keeper") }
func guard(p lab.Process) bool   { return pgkeeper(p, "guard") }
func repmgrd(p lab.Process) bool { return p.Name == "repmgrd" }

func pgkeeper(p lab.Process, command string) bool {
	return len(p.Args) > 1 && filepath.Base(p.Args[0]) == "pgkeeper" && p.Args[1] == command
}
