package fault_test

import (
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/fault"
)

func TestSelect(t *testing.T) {
	all, err := fault.Select("all")
	if err != nil || len(all) != len(fault.All()) {
		t.Errorf("got %d faults, %v; want all", len(all), err)
	}
	some, err := fault.Select("crash")
	if err != nil || strings.Join(fault.Names(some), " ") != "postgres-killed vm-killed-60s primary-cut-off" {
		t.Errorf("got %v, %v", fault.Names(some), err)
	}
	if _, err := fault.Select("vm-kiled"); err == nil || !strings.Contains(err.Error(), "vm-killed-60s") {
		t.Errorf("got %v, want an error that lists the names", err)
	}
	for _, group := range []string{"main", "tested"} {
		if _, err := fault.Select(group); err != nil {
			t.Error(err)
		}
	}
}

func TestFaultsAreComplete(t *testing.T) {
	single := &cluster.Cluster{Nodes: make([]cluster.Node, 1)}
	seen := map[string]bool{}
	for _, f := range fault.All() {
		if f.Name == "" || f.About == "" || f.Nodes < 1 || f.Inject == nil || seen[f.Name] {
			t.Errorf("%+v is incomplete or there twice", f)
		}
		if f.Nodes > 1 && f.Suits(single) {
			t.Errorf("%s needs %d nodes and suits a single one", f.Name, f.Nodes)
		}
		seen[f.Name] = true
	}
}
