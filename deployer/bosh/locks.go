package bosh

import (
	"context"
	"fmt"
	"sync"
)

// locks lets one call at a time look at a deployment and act on it; there is
// no lock for all of them.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	token chan struct{} // holds one value while the lock is free
	users int           // guarded by locks.mu
}

func (l *locks) acquire(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	k := l.held[name]
	if k == nil {
		k = &lock{token: make(chan struct{}, 1)}
		k.token <- struct{}{}
		l.held[name] = k
	}
	k.users++
	l.mu.Unlock()

	select {
	case <-k.token:
		return func() { k.token <- struct{}{}; l.leave(name, k) }, nil
	case <-ctx.Done():
		l.leave(name, k)
		return nil, fmt.Errorf("wait for another call on deployment %s: %w", name, ctx.Err())
	}
}

func (l *locks) leave(name string, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, name)
	}
}
