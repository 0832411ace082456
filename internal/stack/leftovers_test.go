package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLeftoversAreFound(t *testing.T) {
	folder := Folder(filepath.Join(t.TempDir(), "stack"))
	if left, err := Leftovers(folder, Network{}); err != nil || len(left) > 0 {
		t.Fatalf("where nothing ever was: %v, %v", left, err)
	}
	if err := os.Mkdir(string(folder), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "read -r line", folder.path("director"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	left, err := Leftovers(folder, Network{})
	stdin.Close()
	cmd.Wait()
	text := strings.Join(left, "\n")
	if err != nil || !strings.Contains(text, "process ") || !strings.Contains(text, "folder "+string(folder)) {
		t.Errorf("got %v, %v; want the process and the folder", left, err)
	}
	// The machine's own loopback stands for a link that was left.
	if left, err := linksOf(Network{Name: "none", Bridge: "lo"}); err != nil || len(left) != 1 || left[0] != "link lo" {
		t.Errorf("links: %v, %v", left, err)
	}
}
