package chaos

import (
	"context"
	"sync"

	"github.com/holdfast-osb/holdfast/test/chaos/fault"
)

// Round is one injection that several clusters suffer at the same moment. A
// member is ready once, or leaves.
type Round struct {
	members int

	mu    sync.Mutex
	ready int
	begun chan struct{} // made by the first, closed when all are ready

	struck, healed sync.Once
	heal           fault.Heal
	err, healErr   error
}

// Ready waits until all members are.
func (r *Round) Ready(ctx context.Context) error {
	r.mu.Lock()
	r.ready++
	begun := r.waitFor()
	r.mu.Unlock()
	select {
	case <-begun:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Leave takes a member out that will not be ready.
func (r *Round) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members--
	r.waitFor()
}

// waitFor returns what is closed when all are ready. r.mu is held.
func (r *Round) waitFor() chan struct{} {
	if r.begun == nil {
		r.begun = make(chan struct{})
	}
	if r.ready >= r.members {
		select {
		case <-r.begun:
		default:
			close(r.begun)
		}
	}
	return r.begun
}

// Strike injects the fault, once for all members.
func (r *Round) Strike(inject func() (fault.Heal, error)) (fault.Heal, error) {
	r.struck.Do(func() { r.heal, r.err = inject() })
	if r.heal == nil {
		return nil, r.err
	}
	return func(ctx context.Context) error {
		r.healed.Do(func() { r.healErr = r.heal(ctx) })
		return r.healErr
	}, r.err
}
