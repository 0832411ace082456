package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// logs are what a node's keeper, guard and server wrote.
const logs = "/var/vcap/sys/log/postgresql"

// KeepLogs copies the nodes' logs into a folder, for people to read. Nodes
// without a VM have none.
func (c *Cluster) KeepLogs(folder string) error {
	var faults []error
	for _, node := range c.Nodes {
		vm, err := c.VM(node)
		if err != nil {
			continue
		}
		for _, name := range []string{"keeper.log", "guard.log", "start.log", "postgresql.log"} {
			log, err := vm.Open(filepath.Join(logs, name), os.O_RDONLY, 0)
			if err != nil {
				continue // a baseline has others
			}
			faults = append(faults, keep(log, filepath.Join(folder, strings.ReplaceAll(node.Name, "/", "-")+"-"+name)), log.Close())
		}
	}
	return errors.Join(faults...)
}

func keep(log io.Reader, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make a folder for logs: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep a log: %w", err)
	}
	_, err = io.Copy(file, log)
	return errors.Join(err, file.Close())
}
