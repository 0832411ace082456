package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// Alone stands in for Consul where a node was given none: it can never have a
// second member, and what would be in Consul lies in a file beside its data. It
// has no alias for anybody to ask.
type Alone struct {
	path string

	mu   sync.Mutex
	kept kept
}

// kept is the file: the values and their indexes.
type kept struct {
	Index       uint64
	Leader      decide.Entry[decide.Leader]
	Members     decide.Entry[decide.Members]
	Sync        decide.Entry[decide.Sync]
	Initialized decide.Entry[decide.Initialized]
	Node        decide.Registration
	Alias       decide.Alias
}

// NewAlone returns the store that is kept in the file.
func NewAlone(path string) (*Alone, error) {
	a := &Alone{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what the node keeps instead of Consul: %w", err)
	}
	if err := json.Unmarshal(text, &a.kept); err != nil {
		return nil, fmt.Errorf("read what the node keeps instead of Consul: %w", err)
	}
	return a, nil
}

// Watch calls seen twice a second until ctx ends.
func (a *Alone) Watch(ctx context.Context, seen func(decide.View), _ func(decide.Instant, error)) {
	for ctx.Err() == nil {
		seen(a.view())
		pause(ctx, wait)
	}
}

func (a *Alone) view() decide.View {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := boottime.Now()
	view := decide.View{
		AskedAt: now, AnsweredAt: now, Leader: a.kept.Leader, Members: a.kept.Members, Sync: a.kept.Sync,
		Initialized: a.kept.Initialized, Alias: a.kept.Alias,
	}
	if a.kept.Node.Node != "" {
		view.Nodes = []decide.Registration{a.kept.Node}
	}
	return view
}

// Write replaces what the indexes allow.
func (a *Alone) Write(_ context.Context, w decide.Write, _ []decide.Registration) decide.Result {
	result := decide.Result{Action: w, Started: boottime.Now()}
	if err := a.apply(w); err != nil {
		result.Outcome, result.Err = decide.Refused, err.Error()
	}
	view := a.view()
	result.View = &view
	return result
}

func (a *Alone) apply(w decide.Write) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.kept
	stale := w.Leader.Index != next.Leader.Index ||
		w.Check != nil && (w.Check.Members != next.Members.Index || w.Check.Sync != next.Sync.Index) ||
		w.Initialized != nil && next.Initialized.Index != 0 ||
		w.Members != nil && w.Members.Index != next.Members.Index || w.Sync != nil && w.Sync.Index != next.Sync.Index
	if stale {
		return errors.New("an index is stale")
	}
	next.Index++
	next.Leader = decide.Entry[decide.Leader]{Index: next.Index, Value: w.Leader.Value}
	if w.Initialized != nil {
		next.Initialized = decide.Entry[decide.Initialized]{Index: next.Index, Value: *w.Initialized}
	}
	if w.Members != nil {
		if len(w.Members.Value) > 1 {
			return errors.New("a node without Consul has no other members")
		}
		next.Members = decide.Entry[decide.Members]{Index: next.Index, Value: w.Members.Value}
	}
	if w.Sync != nil {
		next.Sync = decide.Entry[decide.Sync]{Index: next.Index, Value: w.Sync.Value}
	}
	if w.Alias != nil {
		next.Alias = *w.Alias
	}
	// A beat alone need not survive: nobody else reads it.
	lasting := w.Initialized != nil || w.Members != nil || w.Sync != nil || w.Alias != nil || w.Purpose != decide.RenewLease
	if lasting {
		if err := a.save(next); err != nil {
			return err
		}
	}
	a.kept = next
	return nil
}

// Register notes the node itself.
func (a *Alone) Register(_ context.Context, r decide.Registration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.kept
	next.Node = r
	if err := a.save(next); err != nil {
		return err
	}
	a.kept = next
	return nil
}

func (a *Alone) save(next kept) error {
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(a.path), "."+filepath.Base(a.path)+".*")
	if err != nil {
		return fmt.Errorf("write what the node keeps instead of Consul: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write what the node keeps instead of Consul: %w", err)
	}
	return os.Rename(file.Name(), a.path)
}
