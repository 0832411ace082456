package operation

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

func TestWaves(t *testing.T) {
	number := func(n int) manifest.Amount { return manifest.Amount{Number: n} }
	percent := func(n int) manifest.Amount { return manifest.Amount{Number: n, Percent: true} }
	for name, c := range map[string]struct {
		items  []string // "az/name"
		update manifest.Update
		want   []string // "limit:names" with a leading ! for canaries
	}{
		"nothing":                      {nil, manifest.Update{Canaries: number(1), MaxInFlight: number(1)}, nil},
		"one instance is a canary":     {[]string{"z1/a"}, manifest.Update{Canaries: number(1), MaxInFlight: number(1)}, []string{"!1:[z1/a]"}},
		"no canaries":                  {[]string{"z1/a", "z1/b"}, manifest.Update{MaxInFlight: number(5)}, []string{"5:[z1/a z1/b]"}},
		"more canaries than instances": {[]string{"z1/a", "z1/b"}, manifest.Update{Canaries: number(7), MaxInFlight: number(1)}, []string{"!1:[z1/a z1/b]"}},
		"canaries in the first zone only": {
			[]string{"z2/a", "z1/b", "z2/c", "z1/d"}, manifest.Update{Canaries: number(1), MaxInFlight: number(2)},
			[]string{"!2:[z2/a]", "2:[z2/c]", "2:[z1/b z1/d]"},
		},
		"percentages are of the zone and never below one": {
			[]string{"z1/a", "z1/b", "z1/c", "z1/d", "z2/e"}, manifest.Update{Canaries: percent(50), MaxInFlight: percent(30)},
			[]string{"!1:[z1/a z1/b]", "1:[z1/c z1/d]", "1:[z2/e]"},
		},
		"max_in_flight zero still moves on": {[]string{"z1/a"}, manifest.Update{}, []string{"1:[z1/a]"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range waves(c.items, func(s string) string { return s[:2] }, c.update) {
				mark := ""
				if w.canary {
					mark = "!"
				}
				got = append(got, fmt.Sprintf("%s%d:%v", mark, w.limit, w.items))
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestZonesAtOnceInTheFirstDeployOnly(t *testing.T) {
	i := &instancePlan{row: db.Instance{AZ: "z1"}}
	for _, c := range []struct {
		strategy string
		initial  bool
		want     string
	}{{"parallel", true, ""}, {"parallel", false, "z1"}, {"serial", true, "z1"}, {"serial", false, "z1"}} {
		if got := zoneIn(manifest.Update{InitialAZs: c.strategy}, c.initial)(i); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

func TestBatches(t *testing.T) {
	serial := func(g string) bool { return g[0] == 's' }
	got := batches([]string{"s1", "p1", "p2", "s2", "s3", "p3"}, serial)
	want := [][]string{{"s1"}, {"p1", "p2"}, {"s2", "s3"}, {"p3"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := batches(nil, serial); got != nil {
		t.Errorf("no groups: got %v, want none", got)
	}
}

func TestInParallelKeepsTheLimit(t *testing.T) {
	var running, most atomic.Int32
	var begun sync.WaitGroup
	begun.Add(3)
	release := make(chan struct{})
	go func() { begun.Wait(); close(release) }()
	var first atomic.Int32
	err := inParallel(context.Background(), 3, make([]int, 9), func(context.Context, int) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if first.Add(1) <= 3 {
			begun.Done()
			<-release // three must run at the same time to get past here
		}
		return nil
	})
	if err != nil || most.Load() != 3 {
		t.Errorf("got error %v and %d at a time, want none and 3", err, most.Load())
	}
}

func TestInParallelStopsAtTheFirstError(t *testing.T) {
	boom := errors.New("boom")
	var ran []int
	err := inParallel(context.Background(), 1, []int{1, 2, 3, 4}, func(_ context.Context, n int) error {
		ran = append(ran, n)
		if n == 2 {
			return boom
		}
		return nil
	})
	if !errors.Is(err, boom) || !reflect.DeepEqual(ran, []int{1, 2}) {
		t.Errorf("got %v after running %v, want %v after [1 2]", err, ran, boom)
	}
}

func TestInParallelStopsWhenCancelled(t *testing.T) {
	reason := errors.New("Task 7 cancelled")
	ctx, cancel := context.WithCancelCause(context.Background())
	ran := 0
	err := inParallel(ctx, 1, []int{1, 2, 3}, func(context.Context, int) error { ran++; cancel(reason); return nil })
	if !errors.Is(err, reason) || ran != 1 {
		t.Errorf("got %v after %d runs, want %v after 1", err, ran, reason)
	}
}
