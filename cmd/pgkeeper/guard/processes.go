package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

// sweepWithin bounds how long killed processes may take to go.
const sweepWithin = 20 * time.Second

// Processes returns the pids of all PostgreSQL processes that work in the data
// directory, whoever started them. A directory that was renamed is still theirs.
func Processes(data string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	home, _ := os.Stat(data)
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		ours, err := worksIn(pid, data, home)
		if err != nil {
			return nil, err
		}
		if ours {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func worksIn(pid int, data string, home os.FileInfo) (bool, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	program, err := os.Readlink(proc + "/exe")
	if err != nil {
		// Gone, a zombie or a thread of the kernel; unless it is PostgreSQL and hides from us.
		comm, _ := os.ReadFile(proc + "/comm")
		if errors.Is(err, fs.ErrPermission) && strings.HasPrefix(string(comm), "postgres") {
			return false, fmt.Errorf("look at process %d: %w", pid, err)
		}
		return false, nil
	}
	if filepath.Base(strings.TrimSuffix(program, " (deleted)")) != "postgres" {
		return false, nil
	}
	if home != nil {
		if cwd, err := os.Stat(proc + "/cwd"); err == nil {
			return os.SameFile(home, cwd), nil
		}
	}
	cwd, err := os.Readlink(proc + "/cwd")
	return err == nil && strings.TrimSuffix(cwd, " (deleted)") == data, nil
}

// removeStale removes what tells of a server that runs, when no process is left.
// PostgreSQL believes it as long as any process, or a dead one that nobody has
// waited for yet, has that number.
func removeStale(s settings.PostgreSQL) error {
	socket := filepath.Join(s.SocketDirectory, fmt.Sprintf(".s.PGSQL.%d", s.Port))
	stale := []string{filepath.Join(s.Data, "postmaster.pid")}
	lock, err := os.ReadFile(socket + ".lock")
	if lines := strings.Split(string(lock), "\n"); err == nil && len(lines) > 1 && lines[1] == s.Data {
		stale = append(stale, socket, socket+".lock")
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what a dead server left: %w", err)
		}
	}
	return nil
}

// Sweep ends all PostgreSQL processes that work in the data directory, and
// returns how many there were when it has seen that none remains.
func Sweep(data string) (int, error) {
	killed := map[int]bool{}
	for began := time.Now(); ; {
		pids, err := Processes(data)
		if err != nil {
			return len(killed), err
		}
		if len(pids) == 0 {
			return len(killed), nil
		}
		if time.Since(began) > sweepWithin {
			return len(killed), fmt.Errorf("processes of the server cannot be killed: %v", pids)
		}
		for _, pid := range pids {
			killed[pid] = true
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return len(killed), fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		time.Sleep(time.Millisecond)
	}
}
