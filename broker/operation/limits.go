package operation

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-osb/holdfast/store"
)

// Limits bound how long the trouble of one step is borne: a call that keeps
// failing is repeated this long before the operation gives up.
type Limits struct {
	Preparing   time.Duration `yaml:"preparing"`
	Deploying   time.Duration `yaml:"deploying"`
	Configuring time.Duration `yaml:"configuring"`
	Restoring   time.Duration `yaml:"restoring"`
	Unbinding   time.Duration `yaml:"unbinding"` // then the deletion goes on without: the deployment goes anyway
	Deleting    time.Duration `yaml:"deleting"`
	Cleaning    time.Duration `yaml:"cleaning"`
	// Waiting bounds how long a deployment may be held by another task.
	Waiting time.Duration `yaml:"waiting"`
	// Submissions is how often a deletion that the director failed is tried.
	Submissions int `yaml:"submissions"`
}

// DefaultLimits bear a director that is away for a quarter of an hour.
func DefaultLimits() Limits {
	return Limits{
		Preparing: 5 * time.Minute, Deploying: 15 * time.Minute, Configuring: 5 * time.Minute, Restoring: 15 * time.Minute,
		Unbinding: 15 * time.Second, Deleting: 15 * time.Minute, Cleaning: 5 * time.Minute, Waiting: time.Hour, Submissions: 3,
	}
}

// Validate reports every limit that is not positive.
func (l Limits) Validate(prefix string) error {
	var faults []error
	for _, limit := range []struct {
		name  string
		value time.Duration
	}{
		{"preparing", l.Preparing}, {"deploying", l.Deploying}, {"configuring", l.Configuring}, {"restoring", l.Restoring},
		{"unbinding", l.Unbinding}, {"deleting", l.Deleting}, {"cleaning", l.Cleaning}, {"waiting", l.Waiting},
	} {
		if limit.value <= 0 {
			faults = append(faults, fmt.Errorf("%s.%s: must be > 0s, got %s", prefix, limit.name, limit.value))
		}
	}
	if l.Submissions < 1 {
		faults = append(faults, fmt.Errorf("%s.submissions: must be ≥ 1, got %d", prefix, l.Submissions))
	}
	return errors.Join(faults...)
}

func (l Limits) of(s store.State) time.Duration {
	switch s {
	case store.Preparing:
		return l.Preparing
	case store.Deploying:
		return l.Deploying
	case store.Configuring:
		return l.Configuring
	case store.Restoring:
		return l.Restoring
	case store.Unbinding:
		return l.Unbinding
	case store.Deleting:
		return l.Deleting
	default:
		return l.Cleaning
	}
}
