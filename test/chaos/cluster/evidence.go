package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

// logs is where the jobs of a VM write theirs, a folder each.
const logs = "/var/vcap/sys/log"

// KeepLogs copies the nodes' logs into a folder, for people to read. Nodes
// without a VM have none.
func (c *Cluster) KeepLogs(folder string) error {
	var faults []error
	for _, node := range c.Nodes {
		vm, err := c.VM(node)
		if err != nil {
			continue
		}
		faults = append(faults, keepLogs(vm, filepath.Join(folder, strings.ReplaceAll(node.Name, "/", "-"))))
	}
	return errors.Join(faults...)
}

func keepLogs(vm lab.VM, folder string) error {
	jobs, err := list(vm, logs)
	if err != nil {
		return err
	}
	var faults []error
	for _, job := range jobs {
		names, err := list(vm, path.Join(logs, job))
		if err != nil {
			continue // a file, not a job's folder
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".log") {
				faults = append(faults, keep(vm, path.Join(logs, job, name), filepath.Join(folder, job+"-"+name)))
			}
		}
	}
	return errors.Join(faults...)
}

func list(vm lab.VM, folder string) ([]string, error) {
	dir, err := vm.Open(folder, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func keep(vm lab.VM, from, to string) error {
	log, err := vm.Open(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("make a folder for logs: %w", err)
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keep a log: %w", err)
	}
	_, err = io.Copy(file, log)
	return errors.Join(err, file.Close())
}
