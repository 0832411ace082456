package brokertest

import (
	"context"
	"sync"
)

// Hook is asked at a call, with the call's name and the id of the instance or
// the name of the deployment; an error is what the caller gets.
type Hook func(ctx context.Context, call, of string) error

// hooks let a test into the calls of a stand-in, also while it is used.
type hooks struct {
	hookMu      sync.Mutex
	first, last Hook
}

// Before sets what is asked at the start of every call; nil: nothing.
func (h *hooks) Before(f Hook) {
	h.hookMu.Lock()
	defer h.hookMu.Unlock()
	h.first = f
}

// After sets what is asked when a call's effect has happened; nil: nothing.
func (h *hooks) After(f Hook) {
	h.hookMu.Lock()
	defer h.hookMu.Unlock()
	h.last = f
}

func (h *hooks) before(ctx context.Context, call, of string) error {
	h.hookMu.Lock()
	f := h.first
	h.hookMu.Unlock()
	if f == nil {
		return ctx.Err()
	}
	return f(ctx, call, of)
}

func (h *hooks) after(ctx context.Context, call, of string) error {
	h.hookMu.Lock()
	f := h.last
	h.hookMu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx, call, of)
}
