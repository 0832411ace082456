package operation

import (
	"context"
	"sync"
)

// keyedMutex is a mutex for each key that is in use.
type keyedMutex struct {
	mu   sync.Mutex
	keys map[string]*keyLock
}

// keyLock is held by whoever has put something into its channel.
type keyLock struct {
	held  chan struct{}
	users int
}

// lock waits for the key, or until ctx ends, and returns what gives it back.
func (k *keyedMutex) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.keys == nil {
		k.keys = map[string]*keyLock{}
	}
	l := k.keys[key]
	if l == nil {
		l = &keyLock{held: make(chan struct{}, 1)}
		k.keys[key] = l
	}
	l.users++
	k.mu.Unlock()
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; k.leave(key, l) }, nil
	case <-ctx.Done():
		k.leave(key, l)
		return nil, context.Cause(ctx)
	}
}

func (k *keyedMutex) leave(key string, l *keyLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(k.keys, key)
	}
}
