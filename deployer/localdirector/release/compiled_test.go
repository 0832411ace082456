package release_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

var someKey = strings.Repeat("0123", 16)

func openCache(t *testing.T, dir string) *release.CompiledCache {
	t.Helper()
	c, err := release.OpenCompiledCache(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompiledCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]")
	c := openCache(t, dir)
	if _, ok, err := c.Get(t.Context(), someKey); ok || err != nil {
		t.Fatalf("empty cache: %v, %v", ok, err)
	}
	put, err := c.Put(t.Context(), someKey, strings.NewReader("compiled"))
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := openCache(t, dir).Get(t.Context(), someKey)
	if !ok || err != nil || got != put || got.Size != 8 || !strings.HasPrefix(got.Digest, "sha256:") {
		t.Errorf("got %+v, %v, %v; want %+v", got, ok, err, put)
	}
	if err := release.VerifyDigest(t.Context(), got.Path, got.Digest, 0); err != nil {
		t.Error(err)
	}
}

func TestDamagedCompiledPackage(t *testing.T) {
	c := openCache(t, t.TempDir())
	put, err := c.Put(t.Context(), someKey, strings.NewReader("compiled"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(put.Path, []byte("c0mpiled"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := c.Get(t.Context(), someKey); ok || err != nil {
		t.Errorf("damaged entry: %v, %v", ok, err)
	}
	if _, err := os.Stat(put.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("damaged entry is still there: %v", err)
	}
	if _, err := c.Put(t.Context(), someKey, strings.NewReader("compiled")); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := c.Get(t.Context(), someKey); !ok || err != nil {
		t.Errorf("compiled again: %v, %v", ok, err)
	}
}

func TestPackageDamagedAfterItWasRead(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"written": func(path string) error { return os.WriteFile(path, []byte("c0mpiled"), 0o600) },
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("c0mpiled"), 0o600), os.Rename(path+".new", path))
		},
		"cut": func(path string) error { return os.Truncate(path, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			c := openCache(t, t.TempDir())
			put, err := c.Put(t.Context(), someKey, strings.NewReader("compiled"))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got, ok, err := c.Get(t.Context(), someKey); !ok || err != nil || got != put {
					t.Fatalf("got %+v, %v, %v, want %+v", got, ok, err, put)
				}
			}
			if err := damage(put.Path); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := c.Get(t.Context(), someKey); ok || err != nil {
				t.Errorf("damaged entry: %v, %v", ok, err)
			}
		})
	}
}

// Two directors compile the same packages at the same time, not to the same bytes.
func TestCompiledCacheSharedByTwo(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for director := range 2 {
		c := openCache(t, dir)
		for i := range 8 {
			wg.Go(func() {
				key := fmt.Sprintf("%064x", i%4)
				content := fmt.Sprintf("package %d by %d", i%4, director)
				if _, err := c.Put(t.Context(), key, iotest.OneByteReader(strings.NewReader(content))); err != nil {
					t.Error(err)
				}
				got, ok, err := c.Get(t.Context(), key)
				if !ok || err != nil {
					t.Errorf("get %s: %v, %v", key, ok, err)
					return
				}
				text, err := os.ReadFile(got.Path)
				if err != nil || !strings.HasPrefix(string(text), fmt.Sprintf("package %d by ", i%4)) {
					t.Errorf("content is %q, %v", text, err)
				}
			})
		}
	}
	wg.Wait()
}

func TestCompiledCacheInterrupted(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Put(ctx, someKey, io.MultiReader(strings.NewReader("half"), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }))); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if left := filesIn(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// A director that was killed had no time to remove its file.
	for name, age := range map[string]time.Duration{".new-old": 2 * time.Hour, ".new-young": 0} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	openCache(t, dir)
	if left := filesIn(t, dir); len(left) != 1 || left[0] != "/.new-young" {
		t.Errorf("left after opening: %v", left)
	}
	if _, _, err := c.Get(t.Context(), "../x"); err == nil {
		t.Error("a key with a path is looked up")
	}
}

func TestCompiledPackagesThatNobodyAsksFor(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir)
	paths := map[string]string{}
	for i, name := range []string{"used", "unused", "new"} {
		put, err := c.Put(t.Context(), fmt.Sprintf("%064x", i), strings.NewReader(name))
		if err != nil {
			t.Fatal(err)
		}
		paths[name] = put.Path
	}
	notOurs := filepath.Join(dir, "notes")
	if err := os.WriteFile(notOurs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-40 * 24 * time.Hour)
	for _, path := range []string{paths["used"], paths["unused"], notOurs} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if got, ok, err := c.Get(t.Context(), fmt.Sprintf("%064x", 0)); !ok || err != nil || got.Path != paths["used"] {
			t.Errorf("got %+v, %v, %v", got, ok, err)
		}
	}
	openCache(t, dir)
	for path, want := range map[string]bool{paths["used"]: true, paths["unused"]: false, paths["new"]: true, notOurs: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: kept is %t, want %t", filepath.Base(path), err == nil, want)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
