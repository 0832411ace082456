package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

// keeperConfig is where a node's keeper is configured; it names the port and
// the token of its status endpoint.
const keeperConfig = "/var/vcap/jobs/postgresql/config/pgkeeper.json"

// Account is what the keepers say of a fault afterwards.
type Account struct {
	Decided   string         // who is primary, since when and why; empty when that is older than the fault
	FenceLate *time.Duration // the latest fence's lateness; nil: no server was fenced since the fault
}

// keeperReport is the part of a keeper's status that is of interest here.
type keeperReport struct {
	Node     string `json:"node"`
	Role     string `json:"role"`
	Epoch    uint64 `json:"epoch"`
	Writable bool   `json:"writable"`
	Last     struct {
		From string    `json:"from"`
		To   string    `json:"to"`
		Why  string    `json:"why"`
		At   time.Time `json:"at"`
	} `json:"last_transition"`
	Fence *struct {
		Late time.Duration `json:"gone_after"`
		At   time.Time     `json:"at"`
	} `json:"fence"`
}

// Explain asks all keepers what happened since a moment. Nodes that do not
// answer say nothing.
func (c *Cluster) Explain(ctx context.Context, since time.Time) Account {
	var account Account
	for _, node := range c.Nodes {
		report, err := c.keeper(ctx, node)
		if err != nil {
			continue
		}
		if report.Writable && report.Last.At.After(since) {
			account.Decided = fmt.Sprintf("%s, epoch %d: %s → %s, %s", report.Node, report.Epoch, report.Last.From, report.Last.To, report.Last.Why)
		}
		if f := report.Fence; f != nil && f.At.After(since) && (account.FenceLate == nil || f.Late > *account.FenceLate) {
			account.FenceLate = &f.Late
		}
	}
	return account
}

// KeeperParts are those of a node under a keeper.
func KeeperParts() Parts {
	pgkeeper := func(command string) func(lab.Process) bool {
		return func(p lab.Process) bool {
			return len(p.Args) > 1 && filepath.Base(p.Args[0]) == "pgkeeper" && p.Args[1] == command
		}
	}
	return Parts{Keeper: pgkeeper("keeper"), Guard: pgkeeper("guard"), Repmgrd: func(p lab.Process) bool { return p.Name == "repmgrd" }}
}

// switchoverLimit bounds a handover, the wait for a clean stop included.
const switchoverLimit = time.Minute

// KeeperSwitchover asks the primary's keeper to hand over.
func (c *Cluster) KeeperSwitchover(ctx context.Context, primary Node) error {
	ctx, cancel := context.WithTimeout(ctx, switchoverLimit)
	defer cancel()
	var answer struct {
		Granted bool   `json:"granted"`
		Why     string `json:"why"`
	}
	err := c.askKeeper(ctx, primary, http.MethodPost, "switchover", &answer)
	if err == nil && !answer.Granted {
		err = fmt.Errorf("the keeper of %s refuses: %s", primary.Name, answer.Why)
	}
	return err
}

func (c *Cluster) keeper(ctx context.Context, node Node) (keeperReport, error) {
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	var report keeperReport
	err := c.askKeeper(ctx, node, http.MethodGet, "status", &report)
	return report, err
}

// askKeeper reads out of the VM how its keeper is asked, and asks it.
func (c *Cluster) askKeeper(ctx context.Context, node Node, method, door string, answer any) error {
	vm, err := c.VM(node)
	if err != nil {
		return err
	}
	file, err := vm.Open(keeperConfig, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var config struct {
		Status struct {
			Port  int    `json:"port"`
			Token string `json:"token"`
		} `json:"status"`
	}
	if err := json.NewDecoder(file).Decode(&config); err != nil {
		return fmt.Errorf("read the keeper's configuration: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+net.JoinHostPort(node.Address, strconv.Itoa(config.Status.Port))+"/v1/"+door, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+config.Status.Token)
	// A lab on this machine: the address is the VM's.
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := web.Do(req)
	if err != nil {
		return fmt.Errorf("ask the keeper of %s: %w", node.Name, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		return fmt.Errorf("understand the keeper of %s: %w", node.Name, err)
	}
	return nil
}
