package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Status is what `holdfast status` shows.
type Status struct {
	Folder      Folder       `json:"folder"`
	Running     bool         `json:"running"` // the supervisor is there
	Parts       []PartStatus `json:"parts"`
	BrokerURL   string       `json:"broker_url,omitempty"`
	DirectorURL string       `json:"director_url,omitempty"`
	Network     Network      `json:"network,omitzero"`
	Deployments []string     `json:"deployments"` // of instances; null when the director was not there to say
	Consul      ConsulStatus `json:"consul"`
	// Problem says what of this could not be found out.
	Problem string `json:"problem,omitempty"`
}

// PartStatus is one process.
type PartStatus struct {
	Name      string  `json:"name"`
	Up        bool    `json:"up"`
	PID       int     `json:"pid,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"` // since its start
	Restarts  int     `json:"restarts"`
	MemoryMiB int     `json:"memory_mib,omitempty"` // resident
}

// ReadStatus looks at a stack from outside.
func ReadStatus(ctx context.Context, folder Folder) (Status, error) {
	status := Status{Folder: folder}
	var s settings
	found, err := readJSON(folder.settingsFile(), &s)
	if err != nil {
		return status, err
	}
	if !found {
		return status, fmt.Errorf("no stack in %s: start one with `holdfast up`", folder)
	}
	status.BrokerURL, status.DirectorURL = "http://"+s.BrokerAddress, "https://"+s.DirectorAddress
	for _, name := range append([]string{supervisorName}, partNames...) {
		part, err := partStatus(folder, name)
		if err != nil {
			return status, err
		}
		status.Running = status.Running || name == supervisorName && part.Up
		status.Parts = append(status.Parts, part)
	}
	binary, err := os.Executable()
	if err != nil {
		return status, fmt.Errorf("find the holdfast binary: %w", err)
	}
	var problems []error
	if status.Network, err = readNetwork(ctx, binary, folder); err != nil {
		problems = append(problems, err)
	}
	if !status.Running {
		problems = append(problems, errors.New("no supervisor runs, so nothing restarts a part that dies: `holdfast up` starts it again"))
	}
	if slices.ContainsFunc(status.Parts, func(p PartStatus) bool { return p.Name == "director" && p.Up }) {
		if status.Deployments, err = deploymentNames(folder, s); err != nil {
			problems = append(problems, err)
		}
	}
	status.Consul = readConsulStatus(ctx, s)
	if len(problems) > 0 {
		status.Problem = errors.Join(problems...).Error()
	}
	return status, nil
}

func partStatus(folder Folder, name string) (PartStatus, error) {
	var process Process
	found, err := readJSON(folder.processFile(name), &process)
	if err != nil || !found || !process.Alive() {
		return PartStatus{Name: name, Restarts: process.Restarts}, err
	}
	return PartStatus{Name: name, Up: true, PID: process.PID, Seconds: time.Since(process.Since).Seconds(), Restarts: process.Restarts, MemoryMiB: residentMiB(process.PID)}, nil
}

// residentMiB reads VmRSS; 0 when the process ended meanwhile.
func residentMiB(pid int) int {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}

// lastLine returns the end of a log, for an error message.
func lastLine(path string) string {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "(no log)"
	}
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return lines[len(lines)-1]
}
