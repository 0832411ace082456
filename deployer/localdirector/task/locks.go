package task

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// lockExpiration is how long a director's lock lives without renewal. Ours
// live as long as their task; the API shows the time by which a holder would
// have renewed.
const lockExpiration = 240 * time.Second

// Lock is a lock that a task holds.
type Lock struct {
	Type     string   // "deployment"
	Resource []string // the deployment's name
	TaskID   int64
	Expires  time.Time
}

// locks are held in memory: a process that ends gives all of them back.
type locks struct {
	timeout time.Duration
	mu      sync.Mutex
	held    map[string]*heldLock
}

type heldLock struct {
	kind     string
	resource []string
	owner    *Run
	released chan struct{} // closed by release
}

// acquire takes the lock for r or waits for it.
func (l *locks) acquire(ctx context.Context, r *Run, kind string, resource []string) (func(), error) {
	name := "lock:" + kind + ":" + strings.Join(resource, ":")
	timeout := time.NewTimer(l.timeout)
	defer timeout.Stop()
	for {
		mine, holder := l.try(name, r, kind, resource)
		if mine != nil {
			r.lockEvent("acquire", name)
			unlock := sync.OnceFunc(func() {
				l.release(name, mine)
				r.lockEvent("release", name)
			})
			r.onEnd(unlock)
			return unlock, nil
		}
		select {
		case <-holder.released:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timeout.C:
			return nil, Errorf(CodeUnknown, "Failed to acquire lock for %s uid: %s. Locking task id is %d, description: '%s'",
				name, uuid.NewString(), holder.owner.ID(), holder.owner.task.Description)
		}
	}
}

// try takes the lock when it is free, or returns who has it.
func (l *locks) try(name string, r *Run, kind string, resource []string) (mine, holder *heldLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holder, ok := l.held[name]; ok {
		return nil, holder
	}
	mine = &heldLock{kind: kind, resource: resource, owner: r, released: make(chan struct{})}
	l.held[name] = mine
	return mine, nil
}

func (l *locks) release(name string, mine *heldLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, name)
	close(mine.released)
}

// list returns the held locks, ordered by type and resource.
func (l *locks) list(now time.Time) []Lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []Lock{}
	for _, h := range l.held {
		out = append(out, Lock{Type: h.kind, Resource: h.resource, TaskID: h.owner.ID(), Expires: now.Add(lockExpiration)})
	}
	slices.SortFunc(out, func(a, b Lock) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), slices.Compare(a.Resource, b.Resource))
	})
	return out
}

// lockEvent notes in the trail who took and gave back a lock. The trail is
// for looking back: losing an entry must not fail the task.
func (r *Run) lockEvent(action, name string) {
	_, err := r.Event(context.WithoutCancel(r.ctx), db.Event{Action: action, ObjectType: "lock", ObjectName: name})
	if err != nil {
		r.log.Warn("store a lock event", "error", err)
	}
}
