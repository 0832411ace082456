package operation

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// addresses knows which addresses are taken: those that instances' rows hold,
// and those that running tasks hold beside them, for compilation VMs and for
// instances that are to move. The latter are not stored: a task that is killed
// gives them back.
type addresses struct {
	db   *db.DB
	mu   sync.Mutex // held while somebody looks for free addresses and takes them
	held map[netip.Addr]manifest.Reservation
}

func newAddresses(d *db.DB) *addresses {
	return &addresses{db: d, held: map[netip.Addr]manifest.Reservation{}}
}

// choose calls pick with all addresses taken by others than the deployment's
// instances, and holds those that pick returns until release is called. Nobody
// else chooses meanwhile, so what pick finds free is free.
func (a *addresses) choose(ctx context.Context, deployment string,
	pick func(taken []manifest.Reservation) ([]manifest.Reservation, error)) (release func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken, err := a.taken(ctx, deployment)
	if err != nil {
		return nil, err
	}
	chosen, err := pick(taken)
	if err != nil {
		return nil, err
	}
	var mine []netip.Addr
	for _, c := range chosen {
		if _, other := a.held[c.IP]; other {
			continue // held by this task already, as taken lists those of others
		}
		a.held[c.IP] = c
		mine = append(mine, c.IP)
	}
	return sync.OnceFunc(func() { a.release(mine) }), nil
}

func (a *addresses) taken(ctx context.Context, deployment string) ([]manifest.Reservation, error) {
	rows, err := a.db.AllInstances(ctx)
	if err != nil {
		return nil, fmt.Errorf("find taken addresses: %w", err)
	}
	var out []manifest.Reservation
	for _, row := range rows {
		if row.Deployment == deployment {
			continue
		}
		for _, text := range row.IPs {
			ip, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("instance %s holds an address that cannot be read: %w", row.Name(), err)
			}
			out = append(out, manifest.Reservation{IP: ip, Deployment: row.Deployment, Instance: row.Name()})
		}
	}
	for _, held := range a.held {
		if held.Deployment != deployment || held.Instance == "" {
			out = append(out, held)
		}
	}
	return out, nil
}

func (a *addresses) release(ips []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ip := range ips {
		delete(a.held, ip)
	}
}
