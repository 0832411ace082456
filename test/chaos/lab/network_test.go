package lab_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

// TestNetworkRules looks at the rules as the kernel has them: the addresses
// are nobody's (RFC 5737).
func TestNetworkRules(t *testing.T) {
	network := lab.NewNetwork("labtest")
	t.Cleanup(func() {
		if err := network.Heal(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	healIsolation, err := network.Isolate(t.Context(), "203.0.113.1")
	if err != nil {
		t.Fatal(err)
	}
	healCut, err := network.Cut(t.Context(), "203.0.113.2", "203.0.113.3")
	if err != nil {
		t.Fatal(err)
	}
	wantRules(t, "ip saddr 203.0.113.1 drop", "ip saddr 203.0.113.3 ip daddr 203.0.113.2 drop", "tcp dport 6868 accept")
	if err := healIsolation(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rules := table(t); strings.Contains(rules, "203.0.113.1") || !strings.Contains(rules, "203.0.113.2") {
		t.Errorf("after one heal the rules are\n%s", rules)
	}
	if err := healCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rules := table(t); rules != "" {
		t.Errorf("after the last heal there is\n%s", rules)
	}
}

func wantRules(t *testing.T, rules ...string) {
	t.Helper()
	have := table(t)
	for _, rule := range rules {
		if !strings.Contains(have, rule) {
			t.Errorf("no %q among the rules\n%s", rule, have)
		}
	}
}

// table is empty when there is none.
func table(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", "list", "tables").Output()
	if err != nil {
		t.Fatalf("list tables: %v (apt-get install nftables)", err)
	}
	if !strings.Contains(string(out), "bridge chaos_labtest\n") {
		return ""
	}
	out, err = exec.CommandContext(t.Context(), "nft", "list", "table", "bridge", "chaos_labtest").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
