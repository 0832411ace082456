package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
	"github.com/holdfast-osb/holdfast/store/storetest"
)

func keyring(t *testing.T, keys ...store.Key) *store.Keyring {
	t.Helper()
	ring, err := store.NewKeyring(keys)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func key(id string) store.Key { return store.Key{ID: id, Value: secret.New(store.NewKey())} }

func open(t *testing.T, path string, ring *store.Keyring, now func() time.Time) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, ring, sqlite.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) func() store.Store {
		path := filepath.Join(t.TempDir(), "a folder?%41", "broker.db")
		ring := keyring(t, key("k1"))
		return func() store.Store { return open(t, path, ring, now) }
	})
}

// I7: no secret is in a column that is not sealed.
func TestSecretsAreNotInTheFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "broker.db"), keyring(t, key("k1")), nil)
	ctx := context.Background()
	const marker = "MARKER-OF-A-SECRET"
	p := store.Prepared{Template: "t", Attributes: map[string]any{"a": marker},
		SecretAttributes: secret.Values{"b": secret.New(marker)}, Secrets: secret.Values{"c": secret.New(marker)}}
	raw := json.RawMessage(`{"password":"` + marker + `"}`)
	in := store.Instance{ID: "i1", State: store.Creating, Deployment: "d1", Private: store.InstancePrivate{Parameters: raw, Context: raw, Prepared: p}}
	op := store.Operation{ID: "create-1", InstanceID: "i1", Kind: store.Create, State: store.Queued,
		Private: store.OperationPrivate{Given: raw, Parameters: raw, Context: raw, Prepared: &p}}
	if err := s.CreateInstance(ctx, in, op); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.Claim(ctx, "w", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.Instance(ctx, "i1")
	if err != nil {
		t.Fatal(err)
	}
	claimed.State, read.State = store.Succeeded, store.Ready
	if err := s.SaveOperation(ctx, &claimed, &read); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateBinding(ctx, store.Binding{ID: "b1", InstanceID: "i1", State: store.BindingCreating, Private: store.BindingPrivate{Parameters: raw, Context: raw}}); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range []string{"broker.db", "broker.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(marker)) {
			t.Errorf("%s holds a secret in clear", name)
		}
		if bytes.Contains(content, []byte("create-1")) {
			found++
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v; want 0600", name, info.Mode().Perm(), err)
		}
	}
	if found == 0 {
		t.Error("the files do not hold the rows at all: this test looks in the wrong place")
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	ctx := context.Background()
	k1, k2, other := key("k1"), key("k2"), key("k1")
	s := open(t, path, keyring(t, k1), nil)
	in := store.Instance{ID: "i1", State: store.Creating, Deployment: "d1", Private: store.InstancePrivate{Parameters: json.RawMessage(`{"a":1}`)}}
	if err := s.CreateInstance(ctx, in, store.Operation{ID: "create-1", InstanceID: "i1", Kind: store.Create, State: store.Queued}); err != nil {
		t.Fatal(err)
	}
	for name, ring := range map[string]*store.Keyring{"another key of the same id": keyring(t, other), "a key of another id": keyring(t, k2)} {
		if wrong, err := sqlite.Open(ctx, path, ring, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "keys do not fit") {
			t.Errorf("%s: got %v, want a refusal", name, err)
			if err == nil {
				_ = wrong.Close()
			}
		}
	}
	rotated := open(t, path, keyring(t, k2, k1), nil)
	got, err := rotated.Instance(ctx, "i1")
	if err != nil || string(got.Private.Parameters) != `{"a":1}` {
		t.Errorf("after rotation: got %s, %v", got.Private.Parameters, err)
	}
	if _, err := sqlite.Open(ctx, path, keyring(t, k2), sqlite.Options{}); err == nil || !strings.Contains(err.Error(), `1 instances are sealed with key "k1"`) {
		t.Errorf("without the key that rows are sealed with: got %v", err)
	}
}

// A row that cannot be read keeps no other from being worked on.
func TestUnreadableOperationBlocksNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	ctx := context.Background()
	s := open(t, path, keyring(t, key("k1")), nil)
	for _, id := range []string{"i1", "i2"} {
		in := store.Instance{ID: id, State: store.Creating, Deployment: "d-" + id}
		if err := s.CreateInstance(ctx, in, store.Operation{ID: "create-" + id, InstanceID: id, Kind: store.Create, State: store.Queued}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE operations SET sealed = substr(sealed, 1, 20) WHERE id = 'create-i1'`); err != nil {
		t.Fatal(err)
	}
	if op, err := s.Claim(ctx, "w", time.Minute); err == nil {
		t.Errorf("the unreadable row was claimed as %s", op.ID)
	}
	if op, err := s.Claim(ctx, "w", time.Minute); err != nil || op.ID != "create-i2" {
		t.Errorf("the next claim: got %s, %v; want create-i2", op.ID, err)
	}
}

func TestRowsCannotBeSwapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	ctx := context.Background()
	s := open(t, path, keyring(t, key("k1")), nil)
	for _, id := range []string{"i1", "i2"} {
		in := store.Instance{ID: id, State: store.Creating, Deployment: "d-" + id, Private: store.InstancePrivate{Parameters: json.RawMessage(`{"of":"` + id + `"}`)}}
		if err := s.CreateInstance(ctx, in, store.Operation{ID: "create-" + id, InstanceID: id, Kind: store.Create, State: store.Queued}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE instances SET sealed = (SELECT sealed FROM instances WHERE id = 'i1') WHERE id = 'i2'`); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Instance(ctx, "i2"); err == nil {
		t.Errorf("another row's sealed column opened: %s", got.Private.Parameters)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	ring := keyring(t, key("k1"))
	open(t, path, ring, nil)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`PRAGMA user_version = 999`); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(context.Background(), path, ring, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("got %v, want a refusal that says to use the newer program", err)
	}
}
