package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	monitUserFile = "/var/vcap/monit/monit.user"
	controlFile   = "/var/vcap/bosh/etc/monitrc"
	group         = "vcap"
	// A little less than the five minutes after which the agent gives up, so
	// that its error says which services do not stop.
	stopPatience = 4*time.Minute + 45*time.Second
	stopPoll     = 10 * time.Millisecond
)

// service is what monit's status says of one service.
type service struct {
	Name      string `xml:"name,attr"`
	Monitored int    `xml:"monitor"`       // 0: no; else yes or about to be
	Pending   int    `xml:"pendingaction"` // 0: none
}

type status struct {
	Services []service `xml:"services>service"`
	Groups   []struct {
		Name    string   `xml:"name,attr"`
		Members []string `xml:"service"`
	} `xml:"servicegroups>servicegroup"`
}

// members returns the services of a group.
func (s status) members(group string) []service {
	var names []string
	for _, g := range s.Groups {
		if g.Name == group {
			names = g.Members
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Services), func(v service) bool { return !slices.Contains(names, v.Name) })
}

// next decides what to ask of monit. It stops what it monitors, whether that
// runs or not, and nothing else: what is not monitored and runs is monitored
// first. asked says that a stop has been asked for before. "" is nothing for
// now, done is over.
func next(s service, running liveness, asked bool) (action string, done bool) {
	switch {
	case s.Pending != 0:
		return "", false
	case s.Monitored != 0:
		return "stop", false
	case running == yes, running == unknown && !asked:
		return "monitor", false
	default:
		return "", true
	}
}

type liveness int

const (
	no liveness = iota
	yes
	unknown // the service has no pid file
)

// stopAll stops the services of the group and waits until their processes have ended.
func stopAll() error {
	client, err := newMonitClient()
	if err != nil {
		return err
	}
	pidFiles, err := readPidFiles()
	if err != nil {
		return err
	}
	asked := map[string]bool{}
	for deadline := time.Now().Add(stopPatience); ; time.Sleep(stopPoll) {
		all, err := client.status()
		if err != nil {
			return err
		}
		var left []string
		for _, s := range all.members(group) {
			action, done := next(s, runs(pidFiles[s.Name]), asked[s.Name])
			if done {
				continue
			}
			left = append(left, s.Name)
			if action == "" {
				continue
			}
			asked[s.Name] = asked[s.Name] || action == "stop"
			if err := client.ask(s.Name, action); err != nil {
				return err
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("these services did not stop within %v: %s", stopPatience, strings.Join(left, ", "))
		}
	}
}

type monitClient struct{ user, password string }

func newMonitClient() (monitClient, error) {
	raw, err := os.ReadFile(monitUserFile)
	if err != nil {
		return monitClient{}, err
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(raw)), ":")
	if !ok {
		return monitClient{}, fmt.Errorf("%s holds no user and password", monitUserFile)
	}
	return monitClient{user, password}, nil
}

func (c monitClient) status() (status, error) {
	var s status
	raw, err := c.send(http.MethodGet, "/_status2?format=xml", nil)
	if err != nil {
		return s, fmt.Errorf("ask monit for its status: %w", err)
	}
	decoder := xml.NewDecoder(bytes.NewReader(raw))
	// monit calls its output ISO-8859-1; what we read of it is plain ASCII.
	decoder.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("read monit's status: %w", err)
	}
	return s, nil
}

func (c monitClient) ask(service, action string) error {
	if _, err := c.send(http.MethodPost, "/"+url.PathEscape(service), strings.NewReader("action="+action)); err != nil {
		return fmt.Errorf("ask monit to %s %s: %w", action, service, err)
	}
	return nil
}

// send goes through the proxy, which adds what monit wants.
func (c monitClient) send(method, path string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequest(method, "http://"+listenAddress+path, body)
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(c.user, c.password)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return raw, nil
}

// readPidFiles asks monit itself how it understands its control files.
func readPidFiles() (map[string]string, error) {
	out, err := exec.Command("/usr/bin/monit", "-c", controlFile, "-v", "-t").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("read monit's control files: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return parsePidFiles(string(out)), nil
}

// parsePidFiles reads the list of services that "monit -v -t" prints.
func parsePidFiles(text string) map[string]string {
	files := map[string]string{}
	process := ""
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "Process Name":
			process = value
		case "Pid file":
			if process != "" {
				files[process] = value
			}
		}
	}
	return files
}

// runs tells whether the process named in a pid file is there and no zombie.
func runs(pidFile string) liveness {
	if pidFile == "" {
		return unknown
	}
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		return no
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 0 {
		return no
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return no
	}
	_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " ")
	if strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X") {
		return no
	}
	return yes
}
