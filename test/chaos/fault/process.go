package fault

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

// part picks the process of a cluster's node that a fault is about.
type part func(c *cluster.Cluster) func(lab.Process) bool

func processFaults() []Fault {
	server := func(*cluster.Cluster) func(lab.Process) bool { return postmaster }
	keeper := func(c *cluster.Cluster) func(lab.Process) bool { return c.Parts.Keeper }
	guard := func(c *cluster.Cluster) func(lab.Process) bool { return c.Parts.Guard }
	repmgrd := func(c *cluster.Cluster) func(lab.Process) bool { return c.Parts.Repmgrd }
	return []Fault{
		{
			Name: "postgres-killed", About: "kill -9 of the primary's postmaster", Nodes: 1,
			Outage: 3 * time.Second, Median: 1500 * time.Millisecond, Single: 10 * time.Second, Promised: true, Inject: kill("postmaster", server),
		},
		{
			Name: "postgres-killed-busy", About: "kill -9 of the primary's postmaster while sessions are busy: they outlive it", Nodes: 1,
			Outage: 3 * time.Second, Median: 1500 * time.Millisecond, Single: 10 * time.Second, Promised: true, Inject: killBusy,
		},
		{
			Name: "keeper-killed", About: "kill -9 of the primary's keeper", Nodes: 1, Needs: has(keeper),
			Outage: 12 * time.Second, Single: 12 * time.Second, Promised: true, Inject: kill("keeper", keeper),
		},
		{
			Name: "guard-killed", About: "kill -9 of the primary's guard", Nodes: 1, Needs: has(guard),
			Outage: 12 * time.Second, Single: 12 * time.Second, Promised: true, Inject: kill("guard", guard),
		},
		{
			Name: "keeper-stopped", About: "SIGSTOP of the primary's keeper for 30 s", Nodes: 1, Hold: 30 * time.Second, Needs: has(keeper),
			Outage: 12 * time.Second, Single: 12 * time.Second, Promised: true, Inject: stopKeeper,
		},
		{
			Name: "repmgrd-killed", About: "kill -9 of the primary's repmgrd", Nodes: 2, Needs: has(repmgrd),
			Outage: 12 * time.Second, Inject: kill("repmgrd", repmgrd),
		},
	}
}

func has(p part) func(*cluster.Cluster) bool {
	return func(c *cluster.Cluster) bool { return p(c) != nil }
}

func kill(what string, p part) func(context.Context, *cluster.Cluster, cluster.Node) (Heal, error) {
	return func(_ context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
		vm, err := c.VM(primary)
		if err != nil {
			return nil, err
		}
		return nothing, vm.Signal(unix.SIGKILL, what, p(c))
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
		hit := c.Parts.Keeper(p)
		if hit {
			stopped = append(stopped, p.PID)
		}
		return hit
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
