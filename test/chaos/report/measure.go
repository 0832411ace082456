package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/client"
)

// Names of a run's clients.
const (
	Alias     = "alias"
	MultiHost = "multihost"
	Isolated  = "isolated"
)

// Observed is what a run's clients saw and what was found afterwards.
type Observed struct {
	Acks   map[string][]client.Ack // by client
	Reads  []time.Duration         // nil: nothing was read
	Stored map[int64]bool          // ids that are there afterwards; nil: nobody could be asked
	// Received is what each standby had, sampled; none: nobody looked.
	Received [][]client.Received

	// Moments of the run's clock. The begin is when the clients were told to
	// begin; End when they were told to end.
	Fault, Healed, End time.Duration
	Healthy            time.Duration // 0: never
}

// Bucket is what writes are counted by for a plot.
const Bucket = 100 * time.Millisecond

// Measure fills in a run's figures.
func (o Observed) Measure(run *Run) {
	run.WriteOutage = seconds(outage(times(o.Acks[Alias]), o.Fault, o.End))
	run.MultiHostOutage = seconds(outage(times(o.Acks[MultiHost]), o.Fault, o.End))
	if o.Reads != nil {
		longest := seconds(outage(o.Reads, o.Fault, o.End))
		run.ReadOutage = &longest
	}
	run.HealedAfter = seconds(o.Healed - o.Fault)
	run.Writable = seconds(o.writable())
	if o.Healthy > 0 {
		healthy := seconds(max(0, o.Healthy-o.Healed))
		run.Healthy = &healthy
	}
	o.measureRows(run)
	o.measureTimelines(run)
	o.measureLag(run)
	run.FaultBucket = int(o.Fault / Bucket)
	run.Writes = map[string]Counts{}
	for name, acks := range o.Acks {
		counts := make(Counts, o.End/Bucket+1)
		for _, at := range times(acks) {
			if i := int(at / Bucket); i < len(counts) {
				counts[i]++
			}
		}
		run.Writes[name] = counts
	}
}

// outage is the longest pause between two successes that ends after the fault.
func outage(successes []time.Duration, fault, end time.Duration) time.Duration {
	var longest, last time.Duration
	for _, at := range append(slices.Clone(successes), end) {
		if at >= fault {
			longest = max(longest, at-last)
		}
		last = at
	}
	return longest
}

// writable is when the alias's writer had its last noticeable pause behind it,
// after the fault's end.
func (o Observed) writable() time.Duration {
	const noticeable = 20 * client.Pause
	var last, end time.Duration
	for _, at := range append(times(o.Acks[Alias]), o.End) {
		if at >= o.Healed && at-last > noticeable {
			end = at - o.Healed
		}
		last = at
	}
	return end
}

func (o Observed) measureRows(run *Run) {
	var first, last time.Duration
	for name, acks := range o.Acks {
		run.Acknowledged += len(acks)
		if o.Stored == nil {
			run.RowsUnread = true
			continue
		}
		for _, ack := range acks {
			if o.Stored[ack.ID] {
				continue
			}
			if run.Lost.Rows == 0 || ack.At < first {
				first = ack.At
			}
			last = max(last, ack.At)
			run.Lost.Rows++
			if run.Lost.ByClient == nil {
				run.Lost.ByClient = map[string]int{}
			}
			run.Lost.ByClient[name]++
		}
	}
	run.Lost.Span = seconds(last - first)
}

// commitRecord is what the log holds of a row after its position, roughly.
const commitRecord = 48

// measureLag counts what was acknowledged and not received anywhere. What is
// received between the last sample and the fault counts as not received.
func (o Observed) measureLag(run *Run) {
	if len(o.Received) == 0 {
		return
	}
	var received int64
	for _, samples := range o.Received {
		for _, sample := range samples {
			if sample.At < o.Fault {
				received = max(received, sample.Position)
			}
		}
	}
	if received == 0 {
		return
	}
	run.Lag = &Lag{}
	newest := o.newest(o.End)
	for _, acks := range o.Acks {
		for _, ack := range acks {
			ahead := ack.Position + commitRecord - received
			switch {
			case ack.At <= o.Fault && ahead > 0:
				run.Lag.Rows++
				run.Lag.Bytes = max(run.Lag.Bytes, ahead)
			case ack.At > o.Fault && ack.Timeline < newest:
				run.Lag.After++
			}
		}
	}
}

// newest is the newest timeline that acknowledged before a moment.
func (o Observed) newest(moment time.Duration) string {
	newest := ""
	for _, acks := range o.Acks {
		for _, ack := range acks {
			if ack.At < moment {
				newest = max(newest, ack.Timeline)
			}
		}
	}
	return newest
}

// measureTimelines puts all acknowledgements in order. Each promotion takes a
// greater timeline: one on an older timeline after one on a newer is a second
// primary.
func (o Observed) measureTimelines(run *Run) {
	var all []client.Ack
	for _, acks := range o.Acks {
		all = append(all, acks...)
	}
	slices.SortFunc(all, func(a, b client.Ack) int { return cmp.Compare(a.At, b.At) })
	if len(all) == 0 {
		return
	}
	first := map[string]time.Duration{}
	newest, before := "", o.newest(o.Fault)
	for _, ack := range all {
		if _, seen := first[ack.Timeline]; !seen {
			first[ack.Timeline] = ack.At
		}
		if ack.Timeline < newest {
			run.Overlap = max(run.Overlap, seconds(ack.At-firstAbove(first, ack.Timeline)))
		}
		newest = max(newest, ack.Timeline)
	}
	if newest == before {
		return
	}
	for _, ack := range all {
		at := seconds(ack.At - o.Fault)
		switch {
		case ack.Timeline == before && (run.OldLast == nil || at > *run.OldLast):
			run.OldLast = &at
		case ack.Timeline > before && run.NewFirst == nil:
			run.NewFirst = &at
		}
	}
}

// firstAbove is when a timeline newer than this one first acknowledged.
func firstAbove(first map[string]time.Duration, timeline string) time.Duration {
	earliest := time.Duration(-1)
	for other, at := range first {
		if other > timeline && (earliest < 0 || at < earliest) {
			earliest = at
		}
	}
	return earliest
}

func times(acks []client.Ack) []time.Duration {
	all := make([]time.Duration, len(acks))
	for i, ack := range acks {
		all[i] = ack.At
	}
	return all
}

// seconds are rounded to milliseconds: finer is not measured.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
