package bosh

import "sync"

// maxConcluded bounds what concluded remembers.
const maxConcluded = 10000

// concluded are deletes that callers were told to have succeeded.
type concluded struct {
	mu    sync.Mutex
	ids   map[string]bool
	order []string
}

func (c *concluded) has(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids[id]
}

func (c *concluded) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil {
		c.ids = map[string]bool{}
	}
	if c.ids[id] {
		return
	}
	if len(c.order) == maxConcluded {
		delete(c.ids, c.order[0])
		c.order = c.order[1:]
	}
	c.ids[id] = true
	c.order = append(c.order, id)
}
