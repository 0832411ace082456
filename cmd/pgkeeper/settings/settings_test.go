package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

func TestLoadReportsEveryFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgkeeper.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"deployment": "d", "address": "here", "replication": "maybe", "postgresql": {"reserve": "there"}, "consul": {"servers": ["10.0.0.1"]}, "status": {"token": "hush"}}`)
	_, err := settings.Load(path)
	if err == nil {
		t.Fatal("no fault")
	}
	for _, key := range []string{"node:", "address:", "replication:", "postgresql.data:", "postgresql.reserve:", "guard.socket:", "status.certificate:", "consul.servers:"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not reported: %v", key, err)
		}
	}
	if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "status.token") {
		t.Errorf("the token: %v", err)
	}
	write(`{"deploymint": "d"}`)
	if _, err := settings.Load(path); err == nil || !strings.Contains(err.Error(), "deploymint") {
		t.Errorf("an unknown key: %v", err)
	}
}
