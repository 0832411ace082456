package chaos_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos"
	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

var (
	quorum = report.Setup{System: "holdfast", Plan: "cluster-small", Replication: "quorum"}
	async  = report.Setup{System: "holdfast", Plan: "cluster-small", Replication: "async"}
)

func named(name string) (report.Setup, error) {
	switch name {
	case "quorum":
		return quorum, nil
	case "async":
		return async, nil
	}
	return report.Setup{}, errors.New("no such setup")
}

func orders(t *testing.T, text string) []chaos.Order {
	t.Helper()
	all, err := chaos.ParseOrders(text, 2, named)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestParseOrders(t *testing.T) {
	all := orders(t, "quorum=main,postgres-killed:20 async=switchover")
	if len(all) != 2 || all[0].Setup != quorum || len(all[0].Counts) != 6 || all[0].Counts[0].Runs != 20 || all[0].Counts[1].Runs != 2 || len(all[1].Counts) != 1 {
		t.Errorf("got %+v", all)
	}
	for _, bad := range []string{"quorum", "quorum=nonsense", "quorum=switchover:x", "other=switchover", "quorum=main quorum=all"} {
		if _, err := chaos.ParseOrders(bad, 1, named); err == nil {
			t.Errorf("%q is understood", bad)
		}
	}
}

func TestQueueHandsOutWhatIsLeft(t *testing.T) {
	done := []report.Run{{Setup: quorum, Fault: "postgres-killed"}}
	q := chaos.NewQueue(orders(t, "quorum=postgres-killed,switchover"), done, 1, time.Time{})
	var got []string
	for {
		work, ok := q.Next(0)
		if !ok {
			break
		}
		got = append(got, work.Job.Fault.Name)
		if len(got) == 1 && !q.Again(work.Setup, *work.Job) {
			t.Error("a job without a result is not tried again")
		}
	}
	if len(got) != 4 || got[0] != "switchover" || got[1] != "postgres-killed" || got[3] != "switchover" {
		t.Errorf("got %v", got)
	}
}

func TestQueueBeginsNothingLate(t *testing.T) {
	q := chaos.NewQueue(orders(t, "quorum=switchover"), nil, 1, time.Now())
	if work, ok := q.Next(0); ok {
		t.Errorf("got %+v after the last moment", work)
	}
}

// Faults of Consul strike all clusters at once, after everything else.
func TestQueueSharesFaults(t *testing.T) {
	q := chaos.NewQueue(orders(t, "quorum=consul-lost,switchover:4 async=consul-lost:1,postgres-killed:1"), nil, 2, time.Time{})
	var mu sync.Mutex
	struck, members, ordinary := 0, 0, 0
	var lanes sync.WaitGroup
	for lane := range 2 {
		lanes.Go(func() {
			defer q.Leave(lane)
			for {
				work, ok := q.Next(lane)
				if !ok {
					return
				}
				mu.Lock()
				if work.Round == nil && work.Job != nil {
					ordinary++
				}
				mu.Unlock()
				if work.Round == nil {
					continue
				}
				if err := work.Round.Ready(t.Context()); err != nil {
					t.Error(err)
				}
				_, err := work.Round.Strike(func() (fault.Heal, error) {
					mu.Lock()
					defer mu.Unlock()
					struck++
					if ordinary != 5 {
						t.Errorf("it strikes after %d of 5 ordinary jobs", ordinary)
					}
					return nil, nil
				})
				mu.Lock()
				members++
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	lanes.Wait()
	if members != 3 || struck > 3 || q.Left() != 0 {
		t.Errorf("%d clusters suffered %d strikes, %d jobs are left; want 3 clusters and none left", members, struck, q.Left())
	}
}

func TestRoundGoesOnWithoutOneThatLeaves(t *testing.T) {
	q := chaos.NewQueue(orders(t, "quorum=consul-lost:2"), nil, 1, time.Time{})
	work, _ := q.Next(0) // only where to stand
	if work.Job != nil || work.Setup != quorum {
		t.Fatalf("got %+v, want a cluster to stand", work)
	}
	work, _ = q.Next(0)
	work.Round.Leave()
	if err := work.Round.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestQueuePhases(t *testing.T) {
	q := chaos.NewQueue(orders(t, "quorum=switchover:1,consul-lost:1 then async=switchover:1"), nil, 1, time.Time{})
	var got []string
	for {
		work, ok := q.Next(0)
		if !ok {
			break
		}
		got = append(got, work.Setup.Replication+" "+work.Job.Fault.Name)
	}
	if strings.Join(got, ", ") != "quorum switchover, quorum consul-lost, async switchover" {
		t.Errorf("got %v", got)
	}
}
