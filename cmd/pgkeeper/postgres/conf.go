package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// conf is what the keeper's own configuration file says. A primary has no
// upstream and a standby names nobody to wait for.
type conf struct {
	upstream  decide.Node
	address   string
	epoch     uint64
	syncNames []decide.Node
}

// slotName returns the name of a node's slot: those may not hold a dash.
func slotName(node decide.Node) string {
	return slotPrefix + strings.ReplaceAll(string(node), "-", "_")
}

const slotPrefix = "holdfast_"

func slotNode(name string) decide.Node {
	return decide.Node(strings.ReplaceAll(strings.TrimPrefix(name, slotPrefix), "_", "-"))
}

func syncNames(nodes []decide.Node) string {
	if len(nodes) == 0 {
		return ""
	}
	quoted := make([]string, len(nodes))
	for i, node := range nodes {
		quoted[i] = `"` + string(node) + `"`
	}
	return "ANY 1 (" + strings.Join(quoted, ", ") + ")"
}

func parseSyncNames(setting string) []decide.Node {
	_, list, found := strings.Cut(setting, "(")
	if !found {
		return nil
	}
	var nodes []decide.Node
	for _, name := range strings.Split(strings.TrimSuffix(list, ")"), ",") {
		nodes = append(nodes, decide.Node(strings.Trim(strings.TrimSpace(name), `"`)))
	}
	return nodes
}

// writeConf replaces the keeper's configuration file. The server has it after a
// reload, or when it starts.
func (c *Cluster) writeConf(want conf) error {
	var b strings.Builder
	b.WriteString("# Written by pgkeeper, which replaces the file whenever a role changes.\n")
	set := func(name, value string) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	primary, slot := "", ""
	if want.upstream != "" {
		primary, slot = c.conninfo(want.address, ""), slotName(c.settings.Node)
	}
	set("primary_conninfo", strings.ReplaceAll(primary, `\`, `\\`))
	set("primary_slot_name", slot)
	set("synchronous_standby_names", syncNames(want.syncNames))
	set("holdfast.upstream", string(want.upstream))
	set("holdfast.epoch", strconv.FormatUint(want.epoch, 10))
	path := c.settings.PostgreSQL.KeeperConf
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the folder of the keeper's configuration: %w", err)
	}
	// Not synced: it is written anew before each start, and a takeover waits for it.
	if err := c.replace(path, []byte(b.String()), 0o640, false); err != nil {
		return fmt.Errorf("write the keeper's configuration: %w", err)
	}
	return nil
}

// put replaces a file of the server's user, whole or not at all, and syncs it.
func (c *Cluster) put(path string, content []byte, mode os.FileMode) error {
	if err := c.replace(path, content, mode, true); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func (c *Cluster) replace(path string, content []byte, mode os.FileMode, sync bool) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if c.credential != nil {
		if err := file.Chown(int(c.credential.Uid), int(c.credential.Gid)); err != nil {
			return err
		}
	}
	if sync {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	return os.Rename(file.Name(), path)
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
