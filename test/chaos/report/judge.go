package report

import "fmt"

// Bounds that hold for every fault.
const (
	WritableLimit = 30 // seconds after the fault's end
	WholeLimit    = 90
)

// Faults lists what a run broke of what is promised. outage bounds the write
// outage in seconds; 0: it is not bounded. planned: somebody wanted the fault.
func (r Run) Faults(outage float64, planned bool) []string {
	var faults []string
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if outage > 0 && r.WriteOutage > outage {
		say("the write outage was %.2f s, bound %.2f s", r.WriteOutage, outage)
	}
	switch {
	case r.Lost.Rows == 0:
	case planned || r.Replication != "async":
		say("%d acknowledged rows are lost: %v", r.Lost.Rows, r.Lost.ByClient)
	case r.Lag == nil:
		say("%d acknowledged rows are lost, and the lag is not known", r.Lost.Rows)
	case r.Lost.Rows > r.Lag.Rows+r.Lag.After:
		say("%d acknowledged rows are lost, more than the lag of %d + %d", r.Lost.Rows, r.Lag.Rows, r.Lag.After)
	}
	if r.RowsUnread {
		say("no node can be asked for the rows")
	}
	if r.Overlap > 0 {
		say("two primaries acknowledged for %.3f s", r.Overlap)
	}
	if r.Writable > WritableLimit {
		say("writable only %.1f s after the fault's end", r.Writable)
	}
	if r.Healthy == nil {
		say("stuck: not whole again")
	} else if *r.Healthy > WholeLimit {
		say("whole only %.1f s after the fault's end", *r.Healthy)
	}
	return faults
}

// Seconds shows a time that may be missing.
func Seconds(value *float64) string {
	if value == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f", *value)
}
