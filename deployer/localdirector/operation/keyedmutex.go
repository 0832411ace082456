package operation

import "sync"

// keyedMutex is a mutex for each key that is in use.
type keyedMutex struct {
	mu   sync.Mutex
	keys map[string]*countedMutex
}

type countedMutex struct {
	sync.Mutex
	users int
}

// lock waits for the key and returns what gives it back.
func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.keys == nil {
		k.keys = map[string]*countedMutex{}
	}
	m := k.keys[key]
	if m == nil {
		m = &countedMutex{}
		k.keys[key] = m
	}
	m.users++
	k.mu.Unlock()
	m.Lock()
	return func() {
		m.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if m.users--; m.users == 0 {
			delete(k.keys, key)
		}
	}
}
