package vm_test

import (
	"testing"
	"time"
)

func TestVMStartsAndItsAgentAnswers(t *testing.T) {
	f := newFixture(t)
	for i := range 3 {
		start := time.Now()
		v, c := f.create(t, f.spec(10))
		took := time.Since(start)
		t.Logf("start → ping %v", took.Round(time.Millisecond))
		state, err := c.StateFull(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if state.AgentID != "agent-10" || state.JobState != "running" {
			t.Errorf("state of a new VM: %+v", state)
		}
		if i == 2 {
			t.Logf("vitals %s", state.Vitals)
			t.Log(mustInside(t, v, "ps axf; cat /proc/mounts; ip a; ip r; cat /etc/resolv.conf /etc/hosts; hostname; free -m"))
		}
		start = time.Now()
		if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
			t.Fatal(err)
		}
		t.Logf("delete %v", time.Since(start).Round(time.Millisecond))
	}
}
