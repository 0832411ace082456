package osbclient

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Book is a file that remembers which name stands for which instance. It holds
// no credentials.
type Book struct {
	Path string
}

// Names are the named instances, per broker URL.
type Names map[string]map[string]Entry

// Entry is one named instance.
type Entry struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	ServiceID string            `json:"service_id"`
	Service   string            `json:"service"`
	PlanID    string            `json:"plan_id"`
	Plan      string            `json:"plan"`
	Bindings  map[string]string `json:"bindings,omitempty"`  // name → binding id
	Operation string            `json:"operation,omitempty"` // the newest one's id
	// MovesTo is the plan that an update goes to whose end was not seen yet.
	MovesTo *PlanRef `json:"moves_to,omitempty"`
}

// PlanRef is a plan by id and name.
type PlanRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Moved is the entry after its update ended.
func (e Entry) Moved(succeeded bool) Entry {
	if succeeded && e.MovesTo != nil {
		e.PlanID, e.Plan = e.MovesTo.ID, e.MovesTo.Name
	}
	e.MovesTo = nil
	return e
}

// Of returns a broker's entries by name.
func (n Names) Of(broker string) []Entry {
	entries := make([]Entry, 0, len(n[broker]))
	for _, name := range slices.Sorted(maps.Keys(n[broker])) {
		entries = append(entries, n[broker][name])
	}
	return entries
}

// Put adds or replaces an entry.
func (n Names) Put(broker string, entry Entry) {
	if n[broker] == nil {
		n[broker] = map[string]Entry{}
	}
	n[broker][entry.Name] = entry
}

// Remove forgets a name.
func (n Names) Remove(broker, name string) { delete(n[broker], name) }

// Read returns what the book holds; a book that does not exist is empty.
func (b Book) Read() (Names, error) {
	content, err := os.ReadFile(b.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Names{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the client's names: %w", err)
	}
	names := Names{}
	if err := json.Unmarshal(content, &names); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", b.Path, err)
	}
	return names, nil
}

// Change reads the book, lets f change it and writes it, whole or not at all,
// while other processes wait. Nothing is written when f fails.
func (b Book) Change(f func(Names) error) error {
	if err := os.MkdirAll(filepath.Dir(b.Path), 0o700); err != nil {
		return fmt.Errorf("make the client's folder: %w", err)
	}
	lock, err := os.OpenFile(b.Path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the client's lock: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", b.Path, err)
	}
	names, err := b.Read()
	if err != nil {
		return err
	}
	if err := f(names); err != nil {
		return err
	}
	content, err := json.MarshalIndent(names, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the client's names: %w", err)
	}
	if err := os.WriteFile(b.Path+".new", append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the client's names: %w", err)
	}
	if err := os.Rename(b.Path+".new", b.Path); err != nil {
		return fmt.Errorf("replace the client's names: %w", err)
	}
	return nil
}
