package stack

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// sleeper starts a shell that says when it is ready and then waits.
func sleeper(t *testing.T, script string) (*exec.Cmd, Process) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script+"; echo ready; while :; do read -r line || exit 0; done")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	process, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, process
}

func TestProcessIsEnded(t *testing.T) {
	for name, script := range map[string]string{"asked": ":", "killed, as it does not listen": "trap '' TERM"} {
		t.Run(name, func(t *testing.T) {
			_, process := sleeper(t, script)
			if !process.Alive() {
				t.Fatal("it is not alive")
			}
			if err := process.end(200 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if process.Alive() {
				t.Error("it is alive after its end")
			}
			if err := process.end(time.Second); err != nil {
				t.Errorf("ending it again: %v", err)
			}
		})
	}
}

// A pid that was given to another process must not be killed for the first.
func TestPIDOfAnother(t *testing.T) {
	_, process := sleeper(t, ":")
	other := process
	other.StartTime--
	if other.Alive() {
		t.Error("another process passes for the recorded one")
	}
	if err := other.end(time.Second); err != nil {
		t.Fatal(err)
	}
	if !process.Alive() {
		t.Error("another process was ended")
	}
}

func TestStatOfAStrangeName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a) R 1 (b")
	if err := os.Symlink("/bin/sleep", name); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if start, state, err := readStat(cmd.Process.Pid); err != nil || start == 0 || len(state) != 1 {
		t.Errorf("start %d, state %q, %v", start, state, err)
	}
}

func TestFilesAreWrittenWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "settings.json")
	var got map[string]int
	if found, err := readJSON(path, &got); found || err != nil {
		t.Errorf("a file that does not exist: %v, %v", found, err)
	}
	if err := writeJSON(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if found, err := readJSON(path, &got); !found || err != nil || got["a"] != 1 {
		t.Errorf("got %v, %v, %v", got, found, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: it may hold secrets", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readJSON(path, &got); err == nil {
		t.Error("a damaged file is read")
	}
}
