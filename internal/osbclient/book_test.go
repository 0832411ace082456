package osbclient

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestBook(t *testing.T) {
	book := Book{Path: filepath.Join(t.TempDir(), "new", "names.json")}
	if names, err := book.Read(); err != nil || len(names) != 0 {
		t.Fatalf("a book that does not exist: %v, %v", names, err)
	}
	// Writers wait for each other: none of their changes is lost.
	var writers sync.WaitGroup
	for n := range 20 {
		writers.Go(func() {
			err := book.Change(func(names Names) error {
				names.Put("http://b", Entry{Name: fmt.Sprintf("i%02d", n), ID: NewID()})
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	names, err := book.Read()
	if err != nil {
		t.Fatal(err)
	}
	entries := names.Of("http://b")
	if len(entries) != 20 || entries[0].Name != "i00" || entries[19].Name != "i19" {
		t.Errorf("entries %v, want 20 by name", entries)
	}
	if len(names.Of("http://other")) != 0 {
		t.Error("another broker has the same names")
	}
	if info, err := os.Stat(book.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the book's mode: %v, %v", info, err)
	}
}

func TestFailedChangeWritesNothing(t *testing.T) {
	book := Book{Path: filepath.Join(t.TempDir(), "names.json")}
	refusal := errors.New("no")
	err := book.Change(func(names Names) error {
		names.Put("b", Entry{Name: "x"})
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(book.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the book was written: %v", err)
	}
}

func TestDamagedBookIsNotOverwritten(t *testing.T) {
	book := Book{Path: filepath.Join(t.TempDir(), "names.json")}
	if err := os.WriteFile(book.Path, []byte("{oops"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := book.Change(func(Names) error { return nil }); err == nil {
		t.Error("a damaged book was changed")
	}
	if content, _ := os.ReadFile(book.Path); string(content) != "{oops" {
		t.Errorf("the damaged book now holds %s", content)
	}
}

func TestMoved(t *testing.T) {
	entry := Entry{PlanID: "p1", Plan: "small", MovesTo: &PlanRef{ID: "p2", Name: "large"}}
	if got := entry.Moved(true); got.PlanID != "p2" || got.Plan != "large" || got.MovesTo != nil {
		t.Errorf("after a success: %+v", got)
	}
	if got := entry.Moved(false); got.PlanID != "p1" || got.Plan != "small" || got.MovesTo != nil {
		t.Errorf("after a failure: %+v", got)
	}
	if got := (Entry{PlanID: "p1"}).Moved(true); got.PlanID != "p1" {
		t.Errorf("an update within the plan: %+v", got)
	}
}
