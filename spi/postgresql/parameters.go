package postgresql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// instanceParameters are those of create and update.
type instanceParameters struct {
	Replication              string // async or quorum; of clusters
	IdleInTransactionTimeout int
}

// bindingParameters are those of a bind.
type bindingParameters struct {
	ReadOnly        bool
	ConnectionLimit int // -1: none
}

func readInstanceParameters(raw json.RawMessage, plan PlanConfig) (instanceParameters, error) {
	p := instanceParameters{Replication: plan.Replication, IdleInTransactionTimeout: 3600}
	readers := map[string]func(any) error{
		"idle_in_transaction_timeout_seconds": wholeNumber(&p.IdleInTransactionTimeout, 0, 86400),
	}
	if plan.Nodes > 1 {
		readers["replication"] = oneOf(&p.Replication, replicationAsync, replicationQuorum)
	}
	return p, readParameters(raw, readers)
}

func readBindingParameters(raw json.RawMessage) (bindingParameters, error) {
	p := bindingParameters{ConnectionLimit: -1}
	err := readParameters(raw, map[string]func(any) error{
		"read_only": func(value any) error {
			set, ok := value.(bool)
			if !ok {
				return errors.New("must be true or false")
			}
			p.ReadOnly = set
			return nil
		},
		"connection_limit": wholeNumber(&p.ConnectionLimit, 1, 1000),
	})
	return p, err
}

// readParameters hands each member of a JSON object to its reader, refusing
// what has none.
func readParameters(raw json.RawMessage, readers map[string]func(any) error) error {
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil
	}
	var given map[string]any
	if err := json.Unmarshal(raw, &given); err != nil {
		return fault.InvalidField("parameters", "must be a JSON object")
	}
	known := make([]string, 0, len(readers))
	for name := range readers {
		known = append(known, name)
	}
	slices.Sort(known)
	for name, value := range given {
		read, ok := readers[name]
		if !ok {
			return fault.InvalidField("parameters."+name, "there is no such parameter; allowed are %v", known)
		}
		if err := read(value); err != nil {
			return fault.InvalidField("parameters."+name, "%s, got %v", err, value)
		}
	}
	return nil
}

func oneOf(into *string, allowed ...string) func(any) error {
	return func(value any) error {
		text, ok := value.(string)
		if !ok || !slices.Contains(allowed, text) {
			return fmt.Errorf("must be one of %v", allowed)
		}
		*into = text
		return nil
	}
}

func wholeNumber(into *int, least, most int) func(any) error {
	return func(value any) error {
		number, ok := value.(float64)
		if !ok || number != math.Trunc(number) || number < float64(least) || number > float64(most) {
			return fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		*into = int(number)
		return nil
	}
}
