package postgres

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// The keeper's own files in the data directory, so that they go where the data go.
const (
	ownFolder    = "holdfast"
	identityFile = ownFolder + "/identity"
	memoryFile   = ownFolder + "/memory.json"
)

// The marker of a rewind lies beside the data directory: the rewind itself would
// remove it inside.
func (c *Cluster) marker() string  { return c.data() + ".rewinding" }
func (c *Cluster) unmade() string  { return c.data() + ".new" }
func (c *Cluster) retired() string { return c.data() + ".old" }

// Inspect reads what lies on the disk. The end of the log is looked for only
// when the server is known to be gone.
func (c *Cluster) Inspect(ctx context.Context, gone bool) (decide.Data, error) {
	var d decide.Data
	if _, err := os.Stat(c.in("PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		// A clone that was interrupted between its two renames.
		if _, err := os.Stat(c.retired() + "/PG_VERSION"); err == nil {
			if err := os.Rename(c.retired(), c.data()); err != nil {
				return d, fmt.Errorf("put the old data back: %w", err)
			}
			return c.Inspect(ctx, gone)
		}
		return d, nil
	}
	identity, err := c.identity()
	if err != nil {
		return d, err
	}
	d.Present, d.Identity, d.Ended = true, identity, gone
	if d.Memory, err = c.memory(); err != nil {
		return d, err
	}
	d.Standby, d.Rewinding = exists(c.in("standby.signal")), exists(c.marker())
	rewound, err := c.expected()
	if err != nil {
		return d, err
	}
	if rewound != nil {
		d.Rewound = *rewound
	}
	control, err := c.control(ctx)
	if err != nil {
		if d.Rewinding {
			return d, nil // only a clone helps, whatever the file says
		}
		return d, err
	}
	d.System = control.system
	d.Clean = control.state == "shut down" || control.state == "shut down in recovery"
	if d.End, err = c.reach(control); err != nil {
		return d, err
	}
	if gone {
		if end, found := c.endOfLog(ctx, control, d.End); found {
			d.End, d.Exact = end, true
		}
	}
	d.History, err = c.history(d.End.Timeline)
	return d, err
}

// identity reads the data's identity. Data from before there was a keeper get one.
func (c *Cluster) identity() (decide.Identity, error) {
	text, err := os.ReadFile(c.in(identityFile))
	if err == nil && len(text) > 0 {
		return decide.Identity(strings.TrimSpace(string(text))), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the data's identity: %w", err)
	}
	return c.newIdentity(c.data())
}

func (c *Cluster) newIdentity(data string) (decide.Identity, error) {
	identity := decide.Identity(uuid())
	return identity, c.putIdentity(data, identity)
}

func (c *Cluster) putIdentity(data string, identity decide.Identity) error {
	folder := filepath.Join(data, ownFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the keeper's folder: %w", err)
	}
	if err := c.give(folder); err != nil {
		return err
	}
	if err := c.put(filepath.Join(data, identityFile), []byte(string(identity)+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the data's identity: %w", err)
	}
	return nil
}

func (c *Cluster) give(path string) error {
	if c.credential == nil {
		return nil
	}
	return os.Chown(path, int(c.credential.Uid), int(c.credential.Gid))
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c *Cluster) memory() (decide.Memory, error) {
	var m decide.Memory
	text, err := os.ReadFile(c.in(memoryFile))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("read the keeper's memory: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read the keeper's memory: %w", err)
	}
	return m, nil
}

// Remember writes the keeper's memory to the data directory.
func (c *Cluster) Remember(m decide.Memory) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := c.put(c.in(memoryFile), text, 0o600); err != nil {
		return fmt.Errorf("write the keeper's memory: %w", err)
	}
	return nil
}

// history reads the forks of the timelines up to this one.
func (c *Cluster) history(timeline uint32) ([]decide.Fork, error) {
	if timeline <= 1 {
		return nil, nil
	}
	path := c.in(fmt.Sprintf("pg_wal/%08X.history", timeline))
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the timeline's history: %w", err)
	}
	return parseHistory(string(text), timeline)
}

// parseHistory reads "parent <tab> switchpoint <tab> reason" lines: each
// timeline's end is where the next begins.
func parseHistory(text string, timeline uint32) ([]decide.Fork, error) {
	var forks []decide.Fork
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		parent, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the history of timeline %d: %w", timeline, err)
		}
		lsn, err := decide.ParseLSN(fields[1])
		if err != nil {
			return nil, fmt.Errorf("read the history of timeline %d: %w", timeline, err)
		}
		if len(forks) > 0 {
			forks[len(forks)-1].Timeline = uint32(parent)
		}
		forks = append(forks, decide.Fork{Timeline: timeline, LSN: lsn})
	}
	return forks, nil
}

// Disk reads how much room the data have.
func (c *Cluster) Disk() (decide.Disk, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(c.data(), &stat); err != nil {
		return decide.Disk{}, fmt.Errorf("read the room of %s: %w", c.data(), err)
	}
	d := decide.Disk{Free: int64(stat.Bavail) * stat.Bsize, Size: int64(stat.Blocks) * stat.Bsize}
	if reserve := c.settings.PostgreSQL.Reserve; reserve != "" {
		d.ReserveGone = !exists(reserve)
	}
	return d, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
