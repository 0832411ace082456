package operation

import (
	"context"
	"sync"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// wave is a set of instances of one group that are updated together, at most
// limit of them at a time. The next wave begins when all of it succeeded.
type wave[T any] struct {
	items  []T
	limit  int
	canary bool
}

// waves orders the update of a group's instances as the director does: one
// availability zone after the other, and in the first one the canaries before
// the rest. Percentages are of the instances to be updated in that zone.
func waves[T any](items []T, az func(T) string, update manifest.Update) []wave[T] {
	var out []wave[T]
	for i, zone := range byAZ(items, az) {
		limit := update.MaxInFlightOf(len(zone))
		canaries := 0
		if i == 0 {
			canaries = min(update.CanariesOf(len(zone)), len(zone))
		}
		if canaries > 0 {
			out = append(out, wave[T]{items: zone[:canaries], limit: limit, canary: true})
		}
		if canaries < len(zone) {
			out = append(out, wave[T]{items: zone[canaries:], limit: limit})
		}
	}
	return out
}

// zoneIn returns an instance's zone as waves has to see it.
func zoneIn(update manifest.Update, initial bool) func(*instancePlan) string {
	if initial && update.InitialAZs == "parallel" {
		return func(*instancePlan) string { return "" }
	}
	return func(i *instancePlan) string { return i.row.AZ }
}

// byAZ groups items by zone, the zones in the order of their first item.
func byAZ[T any](items []T, az func(T) string) [][]T {
	var zones [][]T
	index := map[string]int{}
	for _, item := range items {
		i, seen := index[az(item)]
		if !seen {
			i = len(zones)
			index[az(item)] = i
			zones = append(zones, nil)
		}
		zones[i] = append(zones[i], item)
	}
	return zones
}

// batches splits groups into runs of neighbours with the same `serial`: the
// groups of a run that is not serial are updated at the same time.
func batches[T any](groups []T, serial func(T) bool) [][]T {
	var out [][]T
	for i, g := range groups {
		if i == 0 || serial(g) != serial(groups[i-1]) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], g)
	}
	return out
}

// inParallel runs f for all items, at most limit at a time, in order. After
// the first error, or when ctx ends, no further one is begun; those under way
// come to their end. It returns the first error.
func inParallel[T any](ctx context.Context, limit int, items []T, f func(context.Context, T) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, max(1, limit))
	)
	failed := func() bool { mu.Lock(); defer mu.Unlock(); return first != nil }
	for _, item := range items {
		slots <- struct{}{}
		if failed() || ctx.Err() != nil {
			<-slots
			break
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			if err := f(ctx, item); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		}()
	}
	wg.Wait()
	if first == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return first
}
