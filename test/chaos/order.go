package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// Order is what the results shall hold of a setup.
type Order struct {
	Setup report.Setup
	// Phase 0 is done before phase 1 begins: its runs are then not disturbed by
	// clusters that are made meanwhile.
	Phase  int
	Counts []Count
}

// Count is how many runs of a fault they shall hold.
type Count struct {
	Fault fault.Fault
	Runs  int
}

// ParseOrders understands "SETUP=FAULTS SETUP=FAULTS then SETUP=FAULTS …". Faults
// are separated by commas, each a name or a group's name, with ":n" for another
// number of runs than usual; of a fault that is named twice the last holds. The
// word "then" begins another phase.
func ParseOrders(text string, usual int, setup func(name string) (report.Setup, error)) ([]Order, error) {
	var orders []Order
	phase := 0
	for field := range strings.FieldsSeq(text) {
		if field == "then" {
			phase++
			continue
		}
		name, faults, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not SETUP=FAULTS", field)
		}
		order := Order{Phase: phase}
		var err error
		if order.Setup, err = setup(name); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(orders, func(o Order) bool { return o.Setup == order.Setup }) {
			return nil, fmt.Errorf("%s is named twice", name)
		}
		for part := range strings.SplitSeq(faults, ",") {
			if err := order.add(part, usual); err != nil {
				return nil, err
			}
		}
		orders = append(orders, order)
	}
	return orders, nil
}

func (o *Order) add(part string, runs int) error {
	name, number, counted := strings.Cut(part, ":")
	if counted {
		var err error
		if runs, err = strconv.Atoi(number); err != nil || runs < 0 {
			return fmt.Errorf("%q: %q is no number of runs", part, number)
		}
	}
	chosen, err := fault.Select(name)
	if err != nil {
		return err
	}
	for _, f := range chosen {
		if i := slices.IndexFunc(o.Counts, func(c Count) bool { return c.Fault.Name == f.Name }); i >= 0 {
			o.Counts[i].Runs = runs
			continue
		}
		o.Counts = append(o.Counts, Count{f, runs})
	}
	return nil
}
