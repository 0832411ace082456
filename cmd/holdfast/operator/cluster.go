package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Director is what is asked of one; deployer/bosh has it.
type Director interface {
	Deployments(ctx context.Context) ([]deployer.Deployment, error)
	Deployment(ctx context.Context, name string) (deployer.Deployment, error)
	Manifest(ctx context.Context, name string) (string, error)
}

// Cluster is an instance whose nodes are under keepers: one node or several.
type Cluster struct {
	Deployment string
	nodes      []place
	keepers    *status.Client
}

// place is where a node is.
type place struct {
	name    decide.Node
	address string
}

const (
	// statusPort is the release's default.
	statusPort = 8432
	// askLimit bounds one question for a status.
	askLimit = 3 * time.Second
	// changeLimit bounds a request to change the primary.
	changeLimit = 2 * time.Minute
)

// Find looks for the deployment of an instance, by the deployment's name or by
// the instance's id that ends it.
func Find(ctx context.Context, director Director, instance string) (*Cluster, error) {
	deployments, err := director.Deployments(ctx)
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	i := slices.IndexFunc(deployments, func(d deployer.Deployment) bool {
		return d.Name == instance || strings.HasSuffix(d.Name, "-"+instance)
	})
	if i < 0 {
		return nil, fmt.Errorf("the director has no deployment of an instance %s", instance)
	}
	name := deployments[i].Name
	manifest, err := director.Manifest(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", name, err)
	}
	door, err := readDoor([]byte(manifest))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &Cluster{Deployment: name}
	if c.keepers, err = status.New([]byte(door.ca), "", door.port, door.token); err != nil {
		return nil, err
	}
	deployment, err := director.Deployment(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("list the nodes of %s: %w", name, err)
	}
	for _, instance := range deployment.Instances {
		if instance.Group == door.group {
			c.nodes = append(c.nodes, place{decide.Node(fmt.Sprintf("node-%d", instance.Index)), instance.Address})
		}
	}
	return c, nil
}

// door is what opens the keepers' endpoint.
type door struct {
	group, ca string
	port      int
	token     secret.Secret
}

func readDoor(manifest []byte) (door, error) {
	var read struct {
		Groups []struct {
			Name string `yaml:"name"`
			Jobs []struct {
				Name       string `yaml:"name"`
				Properties struct {
					TLS struct {
						CA string `yaml:"ca"`
					} `yaml:"tls"`
					Keeper struct {
						Token secret.Secret `yaml:"token"`
						Port  int           `yaml:"status_port"`
					} `yaml:"keeper"`
				} `yaml:"properties"`
			} `yaml:"jobs"`
		} `yaml:"instance_groups"`
	}
	if yaml.Unmarshal(manifest, &read) != nil {
		return door{}, errors.New("its manifest is not understood") // what yaml says quotes secrets
	}
	for _, group := range read.Groups {
		for _, job := range group.Jobs {
			p := job.Properties
			if job.Name != "postgresql" || p.Keeper.Token.Empty() {
				continue
			}
			d := door{group: group.Name, ca: p.TLS.CA, port: p.Keeper.Port, token: p.Keeper.Token}
			if d.port == 0 {
				d.port = statusPort
			}
			return d, nil
		}
	}
	return door{}, errors.New("its manifest has no PostgreSQL under a keeper")
}

// Node is one and what its keeper says.
type Node struct {
	Node    decide.Node    `json:"node"`
	Address string         `json:"address"`
	Report  *status.Report `json:"report,omitempty"`  // absent: it does not answer
	Problem string         `json:"problem,omitempty"` // why it does not
}

// Status asks all keepers at once.
func (c *Cluster) Status(ctx context.Context) []Node {
	nodes := make([]Node, len(c.nodes))
	var wait sync.WaitGroup
	for i, at := range c.nodes {
		wait.Go(func() {
			nodes[i] = Node{Node: at.name, Address: at.address}
			if at.address == "" {
				nodes[i].Problem = "it has no VM"
				return
			}
			ctx, cancel := context.WithTimeout(ctx, askLimit)
			defer cancel()
			report, err := c.keepers.Status(ctx, at.address, 0)
			if err != nil {
				nodes[i].Problem = err.Error()
				return
			}
			nodes[i].Report = &report
		})
	}
	wait.Wait()
	return nodes
}

// Primary is the node that accepts writes; nil when none says so.
func Primary(nodes []Node) *Node {
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.Report != nil && n.Report.Writable })
	if i < 0 {
		return nil
	}
	return &nodes[i]
}

// Problem says what is not well in one sentence; empty: all is.
func Problem(nodes []Node) string {
	if Primary(nodes) == nil {
		return "no node accepts writes"
	}
	for _, n := range nodes {
		switch {
		case n.Report == nil:
			return fmt.Sprintf("%s does not answer: %s", n.Node, n.Problem)
		case !n.Report.Writable && !n.Report.Streaming:
			return fmt.Sprintf("%s does not follow: %s", n.Node, n.Report.Why)
		case !n.Report.Member():
			return fmt.Sprintf("%s is no member", n.Node)
		case n.Report.Disk == decide.Full:
			return fmt.Sprintf("the disk of %s is full", n.Node)
		}
	}
	return ""
}

// Switchover has the primary hand over, to the target or else to the best, and
// returns the new primary.
func (c *Cluster) Switchover(ctx context.Context, target string) (Node, error) {
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	if _, err := c.place(target); target != "" && err != nil {
		return Node{}, err
	}
	before := Primary(c.Status(ctx))
	switch {
	case before == nil:
		return Node{}, errors.New("no node accepts writes, so none can hand over: `holdfast cluster status` tells why")
	case string(before.Node) == target:
		return *before, nil
	}
	err := grant(c.keepers.Ask(ctx, before.Address, 0, decide.Request{Ask: decide.AskSwitchover, Target: decide.Node(target)}))
	if err != nil {
		return Node{}, err
	}
	return c.awaitPrimary(ctx, func(n Node) bool { return n.Node != before.Node })
}

// Failover has a node take over whose primary is gone; without a target the one
// that has most. With force it does so without comparing with nodes that cannot
// be reached: what only they have is lost.
func (c *Cluster) Failover(ctx context.Context, target string, force bool) (Node, error) {
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	at, err := c.place(target)
	if target == "" {
		at, err = foremost(c.Status(ctx))
	}
	if err != nil {
		return Node{}, err
	}
	if err := grant(c.keepers.Ask(ctx, at.address, 0, decide.Request{Ask: decide.AskFailover, Force: force})); err != nil {
		return Node{}, err
	}
	return c.awaitPrimary(ctx, func(n Node) bool { return n.Node == at.name })
}

// foremost is the node without the lease that has the newest timeline and, of
// those, most of it.
func foremost(nodes []Node) (place, error) {
	var best *Node
	for i := range nodes {
		n := &nodes[i]
		if n.Report == nil || !n.Report.Known || n.Report.Writable {
			continue
		}
		a := n.Report.Position
		if best == nil || a.Timeline > best.Report.Position.Timeline ||
			a.Timeline == best.Report.Position.Timeline && a.LSN > best.Report.Position.LSN {
			best = n
		}
	}
	if best == nil {
		return place{}, errors.New("no node that could take over answers")
	}
	return place{best.Node, best.Address}, nil
}

func (c *Cluster) place(name string) (place, error) {
	i := slices.IndexFunc(c.nodes, func(p place) bool { return string(p.name) == name })
	if i < 0 {
		names := make([]string, len(c.nodes))
		for i, p := range c.nodes {
			names[i] = string(p.name)
		}
		return place{}, fmt.Errorf("there is no node %q: the nodes are %s", name, strings.Join(names, ", "))
	}
	return c.nodes[i], nil
}

func grant(answer status.Answer, err error) error {
	if err == nil && !answer.Granted {
		err = errors.New("the keeper refuses: " + answer.Why)
	}
	return err
}

func (c *Cluster) awaitPrimary(ctx context.Context, is func(Node) bool) (Node, error) {
	for {
		if found := Primary(c.Status(ctx)); found != nil && is(*found) {
			return *found, nil
		}
		select {
		case <-ctx.Done():
			return Node{}, errors.New("the request was granted, but no new primary accepts writes in time: `holdfast cluster status` tells why")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
