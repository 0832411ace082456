package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
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

func (c *Cluster) keeper(ctx context.Context, node Node) (keeperReport, error) {
	var report keeperReport
	vm, err := c.VM(node)
	if err != nil {
		return report, err
	}
	file, err := vm.Open(keeperConfig, os.O_RDONLY, 0)
	if err != nil {
		return report, err
	}
	defer file.Close()
	var config struct {
		Status struct {
			Port  int    `json:"port"`
			Token string `json:"token"`
		} `json:"status"`
	}
	if err := json.NewDecoder(file).Decode(&config); err != nil {
		return report, fmt.Errorf("read the keeper's configuration: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(node.Address, strconv.Itoa(config.Status.Port))+"/v1/status", nil)
	if err != nil {
		return report, err
	}
	req.Header.Set("Authorization", "Bearer "+config.Status.Token)
	// A lab on this machine: the address is the VM's.
	web := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := web.Do(req)
	if err != nil {
		return report, fmt.Errorf("ask the keeper of %s: %w", node.Name, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&report); err != nil {
		return report, fmt.Errorf("understand the keeper of %s: %w", node.Name, err)
	}
	return report, nil
}
