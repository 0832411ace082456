package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/client"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// written makes acknowledgements from begin to end, one each 50 ms.
func written(id int64, node, timeline string, begin, end time.Duration) []client.Ack {
	var acks []client.Ack
	for at := begin; at < end; at += client.Pause {
		acks = append(acks, client.Ack{ID: id, Sent: at - time.Millisecond, At: at, Node: node, Timeline: timeline})
		id++
	}
	return acks
}

func stored(acks ...[]client.Ack) map[int64]bool {
	all := map[int64]bool{}
	for _, some := range acks {
		for _, ack := range some {
			all[ack.ID] = true
		}
	}
	return all
}

// failover is a fault at 2 s, a successor that acknowledges from 9 s on and a
// cluster that is healed at 12 s, whole at 15 s and watched until 20 s.
func failover(oldUntil time.Duration) report.Observed {
	before := written(1, "a", "00000001", 0, 2*time.Second)
	after := written(1000, "b", "00000002", 9*time.Second, 20*time.Second)
	isolated := written(5000, "a", "00000001", 0, oldUntil)
	return report.Observed{
		Acks:   map[string][]client.Ack{report.Alias: append(before, after...), report.Isolated: isolated},
		Stored: stored(before, after, isolated),
		Fault:  2 * time.Second, Healed: 12 * time.Second, Healthy: 15 * time.Second, End: 20 * time.Second,
	}
}

func TestMeasureFailover(t *testing.T) {
	var run report.Run
	failover(7 * time.Second).Measure(&run)
	if run.WriteOutage != 7.05 || run.Writable != 0 || *run.Healthy != 3 || run.HealedAfter != 10 {
		t.Errorf("got outage %v, writable after %v, whole after %v, healed after %v; want 7.05, 0, 3, 10", run.WriteOutage, run.Writable, *run.Healthy, run.HealedAfter)
	}
	if *run.OldLast != 4.95 || *run.NewFirst != 7 || run.Overlap != 0 {
		t.Errorf("got old's last %v, new's first %v, overlap %v; want 4.95, 7, 0", *run.OldLast, *run.NewFirst, run.Overlap)
	}
	if run.Acknowledged != 40+220+140 || run.Lost.Rows != 0 {
		t.Errorf("got %d acknowledged, %d lost; want 400, 0", run.Acknowledged, run.Lost.Rows)
	}
	if run.FaultBucket != 20 || run.Writes[report.Alias][19] != 2 || run.Writes[report.Alias][21] != 0 {
		t.Errorf("got fault in bucket %d, %v", run.FaultBucket, run.Writes[report.Alias])
	}
	if faults := run.Faults(8, false); len(faults) != 0 {
		t.Errorf("a good run is judged %v", faults)
	}
}

func TestMeasureTwoPrimaries(t *testing.T) {
	var run report.Run
	failover(10 * time.Second).Measure(&run)
	if run.Overlap != 0.95 || *run.OldLast != 7.95 {
		t.Errorf("got overlap %v, old's last %v; want 0.95, 7.95", run.Overlap, *run.OldLast)
	}
	if faults := run.Faults(8, false); len(faults) != 1 || !strings.Contains(faults[0], "two primaries") {
		t.Errorf("two primaries are judged %v", faults)
	}
}

func TestMeasureLoss(t *testing.T) {
	observed := failover(7 * time.Second)
	for id := int64(5000 + 60); id < 5000+140; id++ { // from 3 s on
		delete(observed.Stored, id)
	}
	run := report.Run{Setup: report.Setup{Replication: "quorum"}}
	observed.Measure(&run)
	if run.Lost.Rows != 80 || run.Lost.ByClient[report.Isolated] != 80 || run.Lost.Span != 3.95 {
		t.Errorf("got %+v, want 80 rows of the isolated client, 3.95 s", run.Lost)
	}
	if faults := run.Faults(8, false); len(faults) != 1 || !strings.Contains(faults[0], "80 acknowledged rows are lost") {
		t.Errorf("loss is judged %v", faults)
	}
	run.Replication, run.Lag = "async", &report.Lag{Rows: 1, After: 79}
	if faults := run.Faults(8, false); len(faults) != 0 {
		t.Errorf("loss with asynchronous replication is judged %v", faults)
	}
	if faults := run.Faults(8, true); len(faults) != 1 {
		t.Errorf("loss by planned work is judged %v", faults)
	}
	run.Lag.After = 78
	if faults := run.Faults(8, false); len(faults) != 1 || !strings.Contains(faults[0], "more than the lag of 1 + 78") {
		t.Errorf("loss beyond the lag is judged %v", faults)
	}
}

func TestMeasureLag(t *testing.T) {
	observed := failover(7 * time.Second)
	for i := range observed.Acks[report.Alias] {
		observed.Acks[report.Alias][i].Position = int64(1000 * i)
	}
	observed.Acks[report.Isolated] = nil
	at := func(fault time.Duration, position int64) client.Received {
		return client.Received{At: fault, Position: position}
	}
	observed.Received = [][]client.Received{{at(0, 100), at(1900*time.Millisecond, 36500), at(2100*time.Millisecond, 1<<40)}, {at(time.Second, 19000)}}
	var run report.Run
	observed.Measure(&run)
	if run.Lag == nil || run.Lag.Rows != 3 || run.Lag.Bytes != 39000-36500+48 || run.Lag.After != 0 {
		t.Errorf("got %+v, want the rows 37 to 39", run.Lag)
	}
}

func TestMeasureNobodyTookOver(t *testing.T) {
	before := written(1, "a", "00000001", 0, 2*time.Second)
	var run report.Run
	report.Observed{Acks: map[string][]client.Ack{report.Alias: before}, Stored: stored(before), Fault: 2 * time.Second, Healed: 3 * time.Second, End: 63 * time.Second}.Measure(&run)
	if run.WriteOutage != 61.05 || run.Writable != 60 || run.Healthy != nil || run.NewFirst != nil {
		t.Errorf("got %+v", run)
	}
	if faults := run.Faults(12, false); len(faults) != 3 {
		t.Errorf("a stuck cluster is judged %v, want outage, writable and stuck", faults)
	}
}
