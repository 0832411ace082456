package manifest

import (
	"cmp"
	"slices"
)

// placeBalanced spreads a group over its zones. Ignored instances stay, then
// those with a disk in one of the zones stay, lowest index first; the rest is
// balanced, and an existing instance of the chosen zone is taken before a new
// one is made. What is left over is obsolete: the highest indexes of the
// fullest zones.
func placeBalanced(g *InstanceGroup, existing []Existing) ([]placement, []Existing) {
	b := newBalance(g.AZs, existing)
	var placed []placement
	stay := func(which func(e *Existing) bool) {
		for i := range existing {
			e := &existing[i]
			if len(placed) == g.Instances || b.claimed[e.ID] || !which(e) {
				continue
			}
			b.claimed[e.ID] = true
			b.weight[e.AZ]++
			placed = append(placed, placement{existing: e, az: e.AZ})
		}
	}
	stay(func(e *Existing) bool { return e.Ignore })
	stay(func(e *Existing) bool { return e.HasDisk && slices.Contains(g.AZs, e.AZ) })
	b.preferExisting(existing)
	for len(placed) < g.Instances {
		az := b.next()
		placed = append(placed, placement{existing: b.claim(existing, az), az: az})
	}
	var obsolete []Existing
	for _, e := range existing {
		if !b.claimed[e.ID] {
			obsolete = append(obsolete, e)
		}
	}
	return placed, obsolete
}

type balance struct {
	azs     []string       // the fullest ones first
	weight  map[string]int // instances placed
	prefer  map[string]int // existing instances not placed yet
	claimed map[string]bool
}

func newBalance(azs []string, existing []Existing) *balance {
	count := map[string]int{}
	for _, e := range existing {
		count[e.AZ]++
	}
	b := &balance{azs: slices.Clone(azs), weight: map[string]int{}, prefer: map[string]int{}, claimed: map[string]bool{}}
	slices.SortStableFunc(b.azs, func(a, c string) int { return cmp.Compare(count[c], count[a]) })
	return b
}

func (b *balance) preferExisting(existing []Existing) {
	for _, e := range existing {
		if !b.claimed[e.ID] {
			b.prefer[e.AZ]++
		}
	}
}

// next is the emptiest zone; among equals one with an existing instance to
// keep, else the first by name. Groups without zones have the one zone "".
func (b *balance) next() string {
	if len(b.azs) == 0 {
		return ""
	}
	least := b.weight[b.azs[0]]
	for _, az := range b.azs {
		least = min(least, b.weight[az])
	}
	var chosen, first string
	for _, az := range b.azs {
		if b.weight[az] != least {
			continue
		}
		if chosen == "" && b.prefer[az] > 0 {
			chosen = az
		}
		if first == "" || az < first {
			first = az
		}
	}
	if chosen == "" {
		chosen = first
	}
	b.weight[chosen]++
	b.prefer[chosen]--
	return chosen
}

// claim takes the existing instance of the zone with the lowest index.
func (b *balance) claim(existing []Existing, az string) *Existing {
	for i := range existing {
		e := &existing[i]
		if e.AZ == az && !b.claimed[e.ID] {
			b.claimed[e.ID] = true
			return e
		}
	}
	return nil
}
