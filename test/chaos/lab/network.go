package lab

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// Network cuts and slows the traffic that crosses the bridge of one stack. Cuts
// work by addresses, on the machine's side, so that a VM that is recreated
// stays cut off. The machine itself counts as an address: the bridge's.
//
// Agents stay in the director's sight (TCP port 6868): where VMs are managed
// is a network of its own, and a VM that is cut off for its users is not
// recreated for that.
type Network struct {
	stack string // prefix of its links
	table string

	mu    sync.Mutex
	rules []string
}

const agentPort = 6868

// NewNetwork prepares cuts on a stack's bridge; none is there before the first.
func NewNetwork(stack string) *Network { return &Network{stack: stack, table: "chaos_" + stack} }

// Isolate cuts an address off from everyone.
func (n *Network) Isolate(ctx context.Context, address string) (heal func(context.Context) error, err error) {
	return n.add(ctx, "ip saddr "+address+" drop", "ip daddr "+address+" drop")
}

// Cut cuts two addresses off from each other.
func (n *Network) Cut(ctx context.Context, a, b string) (heal func(context.Context) error, err error) {
	return n.add(ctx, "ip saddr "+a+" ip daddr "+b+" drop", "ip saddr "+b+" ip daddr "+a+" drop")
}

func (n *Network) add(ctx context.Context, rules ...string) (func(context.Context) error, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = append(n.rules, rules...)
	if err := n.apply(ctx); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, rule := range rules {
			if i := slices.Index(n.rules, rule); i >= 0 {
				n.rules = slices.Delete(n.rules, i, i+1)
			}
		}
		return n.apply(ctx)
	}, nil
}

// Heal removes all that is left of cuts, also of a run that was killed.
func (n *Network) Heal(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = nil
	return n.apply(ctx)
}

// apply replaces the table as a whole, in one transaction.
func (n *Network) apply(ctx context.Context) error {
	script := fmt.Sprintf("table bridge %[1]s\ndelete table bridge %[1]s\n", n.table)
	if len(n.rules) > 0 {
		script += "table bridge " + n.table + " {\n"
		for _, hook := range []string{"forward", "input", "output"} {
			script += fmt.Sprintf("chain %s { type filter hook %s priority 0; tcp dport %d accept; tcp sport %d accept; %s; }\n",
				hook, hook, agentPort, agentPort, strings.Join(n.rules, "; "))
		}
		script += "}\n"
	}
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(script)
	if out, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("change the bridge's filter: %w: %s", err, out)
	}
	return nil
}
