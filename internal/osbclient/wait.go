package osbclient

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// PollInterval is the pause between polls while a broker asks for none.
const PollInterval = 500 * time.Millisecond

// Wait polls an operation until it ends, telling report of every answer. A
// failed operation is no error: look at the state. Passing faults of the
// network and of the broker (5xx) are ridden out until ctx ends.
func (b *Broker) Wait(ctx context.Context, id, serviceID, planID, operation string, report func(LastOperation)) (LastOperation, error) {
	for {
		last, err := b.LastOperation(ctx, id, serviceID, planID, operation)
		pause := PollInterval
		switch {
		case err != nil && (ctx.Err() != nil || !passing(err)):
			return last, err
		case err != nil:
			pause = 2 * PollInterval
		case last.State == "succeeded" || last.State == "failed":
			return last, nil
		default:
			report(last)
			// A progress bar wants more than a platform: a quarter of what the broker
			// asks of those, and never more than a second.
			if last.RetryAfter > 0 {
				pause = min(last.RetryAfter/4, time.Second)
			}
		}
		select {
		case <-ctx.Done():
			return LastOperation{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func passing(err error) bool {
	var failure *Error
	if errors.As(err, &failure) {
		return failure.Status >= 500
	}
	return true
}

func isGone(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Status == http.StatusGone
}

func ignoreGone(err error) error {
	if isGone(err) {
		return nil
	}
	return err
}
