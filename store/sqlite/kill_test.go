package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
)

const (
	writerPath = "HOLDFAST_TEST_STORE"
	writerKey  = "HOLDFAST_TEST_STORE_KEY"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(writerPath); path != "" {
		if err := writeForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeForever acknowledges each row on standard output after it was written.
func writeForever(path string) error {
	ring, err := store.NewKeyring([]store.Key{{ID: "k1", Value: secret.New(os.Getenv(writerKey))}})
	if err != nil {
		return err
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, ring, sqlite.Options{})
	if err != nil {
		return err
	}
	names, err := s.Deployments(ctx)
	if err != nil {
		return err
	}
	for i := len(names); ; i++ {
		id := fmt.Sprintf("i%d", i)
		in := store.Instance{ID: id, State: store.Creating, Deployment: "d-" + id}
		if err := s.CreateInstance(ctx, in, store.Operation{ID: "create-" + id, InstanceID: id, Kind: store.Create, State: store.Queued}); err != nil {
			return err
		}
		fmt.Println(id)
	}
}

// I1: what was acknowledged is there after kill -9, again and again on the
// same file.
func TestKilledWriterLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	value := store.NewKey()
	acknowledged := map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerPath+"="+path, writerKey+"="+value)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 20+7*round && lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // acknowledged before the kill arrived
			acknowledged[lines.Text()] = true
		}
		_ = cmd.Wait() // it was killed
	}
	s := open(t, path, keyring(t, store.Key{ID: "k1", Value: secret.New(value)}), time.Now)
	if len(acknowledged) < 100 {
		t.Fatalf("only %d rows were acknowledged", len(acknowledged))
	}
	for id := range acknowledged {
		if _, err := s.Instance(context.Background(), id); err != nil {
			t.Errorf("acknowledged instance %s: %v", id, err)
		}
		if _, err := s.LatestOperation(context.Background(), id); err != nil {
			t.Errorf("operation of acknowledged instance %s: %v", id, err)
		}
	}
}
