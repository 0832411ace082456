package operation_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

const lease = 400 * time.Millisecond

// process is a broker process that can be killed at its n-th event: before or
// after a write to the store, before or after a call's effect. Once it is dead
// nothing that it does has an effect.
type process struct {
	store.Store
	at     int64
	events atomic.Int64
	died   chan struct{}
	once   sync.Once
}

var errKilled = errors.New("the process is dead")

func newProcess(s store.Store, at int) *process {
	return &process{Store: s, at: int64(at), died: make(chan struct{})}
}

func (p *process) dead() bool {
	select {
	case <-p.died:
		return true
	default:
		return false
	}
}

func (p *process) kill() { p.once.Do(func() { close(p.died) }) }

func (p *process) event() error {
	if !p.dead() && p.events.Add(1) == p.at {
		p.kill()
	}
	if p.dead() {
		return errKilled
	}
	return nil
}

func (p *process) write(f func() error) error {
	if err := p.event(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return p.event()
}

func (p *process) Claim(ctx context.Context, owner string, l time.Duration) (op store.Operation, err error) {
	if p.dead() {
		return op, errKilled
	}
	if op, err = p.Store.Claim(ctx, owner, l); err == nil {
		err = p.event()
	}
	return op, err
}

func (p *process) SaveOperation(ctx context.Context, op *store.Operation, in *store.Instance) error {
	return p.write(func() error { return p.Store.SaveOperation(ctx, op, in) })
}

func (p *process) DeleteBinding(ctx context.Context, instanceID, id string) error {
	return p.write(func() error { return p.Store.DeleteBinding(ctx, instanceID, id) })
}

func (p *process) Extend(ctx context.Context, owner string, ids []string, l time.Duration) (held, superseded []string, err error) {
	if p.dead() {
		return nil, nil, errKilled
	}
	return p.Store.Extend(ctx, owner, ids, l)
}

func (p *process) Release(ctx context.Context, id, owner string) error {
	if p.dead() {
		return errKilled
	}
	return p.Store.Release(ctx, id, owner)
}

func (p *process) Instance(ctx context.Context, id string) (store.Instance, error) {
	if p.dead() {
		return store.Instance{}, errKilled
	}
	return p.Store.Instance(ctx, id)
}

func (p *process) ListBindings(ctx context.Context, id string) ([]store.Binding, error) {
	if p.dead() {
		return nil, errKilled
	}
	return p.Store.ListBindings(ctx, id)
}

type processKey struct{}

// hook makes a call an event of the process that makes it.
func hook(ctx context.Context, _, _ string) error {
	if p, ok := ctx.Value(processKey{}).(*process); ok {
		if err := p.event(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// cutOff is a store that a process cannot reach any more.
type cutOff struct {
	store.Store
	off atomic.Bool
}

func (c *cutOff) away() error {
	if c.off.Load() {
		return fault.New(fault.Unavailable, "the store is away")
	}
	return nil
}

func (c *cutOff) Extend(ctx context.Context, owner string, ids []string, l time.Duration) (held, superseded []string, err error) {
	if err := c.away(); err != nil {
		return nil, nil, err
	}
	return c.Store.Extend(ctx, owner, ids, l)
}

func (c *cutOff) Claim(ctx context.Context, owner string, l time.Duration) (store.Operation, error) {
	if err := c.away(); err != nil {
		return store.Operation{}, err
	}
	return c.Store.Claim(ctx, owner, l)
}

func (c *cutOff) Release(ctx context.Context, id, owner string) error {
	if err := c.away(); err != nil {
		return err
	}
	return c.Store.Release(ctx, id, owner)
}
