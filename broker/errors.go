package broker

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pivotal-cf/brokerapi/v10/domain/apiresponses"

	"github.com/holdfast-osb/holdfast/broker/gate"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// refusal is an answer that the verbs give on purpose, in the API's terms.
type refusal struct {
	status int
	code   string // OSB "Service Broker Errors"
	text   string
	empty  bool // the body is {}
	retry  time.Duration
}

func (r *refusal) Error() string { return r.text }

const retrySoon = 2 * time.Second

// The answers that the API names.
func gone() error { return &refusal{status: http.StatusGone, text: "it does not exist", empty: true} }

func notFound(what string) error {
	return &refusal{status: http.StatusNotFound, text: "the " + what + " does not exist"}
}

func badRequest(field, text string) error {
	return &refusal{status: http.StatusBadRequest, text: field + ": " + text}
}

func conflict(text string) error { return &refusal{status: http.StatusConflict, text: text} }

func concurrency() error {
	return &refusal{status: http.StatusUnprocessableEntity, code: "ConcurrencyError", retry: retrySoon,
		text: "another operation of this service instance is in progress: wait until it has ended and try again"}
}

func asyncRequired() error {
	return &refusal{status: http.StatusUnprocessableEntity, code: "AsyncRequired",
		text: "accepts_incomplete: must be true, this service works asynchronously"}
}

func requiresApp(text string) error {
	return &refusal{status: http.StatusUnprocessableEntity, code: "RequiresApp", text: "app_guid: " + text}
}

func maintenanceConflict(text string) error {
	return &refusal{status: http.StatusUnprocessableEntity, code: "MaintenanceInfoConflict", text: "maintenance_info.version: " + text}
}

// unprocessable has no code that the API knows. Only for updates: Cloud
// Foundry would begin orphan mitigation after a creation.
func unprocessable(code, text string) error {
	return &refusal{status: http.StatusUnprocessableEntity, code: code, text: text}
}

// statuses are what the kinds of faults become.
var statuses = map[fault.Kind]int{
	fault.Invalid:      http.StatusBadRequest,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.Forbidden:    http.StatusForbidden,
	fault.Unauthorized: http.StatusInternalServerError, // one part of ours does not accept another: no fault of the platform
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.Internal:     http.StatusInternalServerError,
}

// refuse turns any error into a refusal. What the user can do nothing about is
// logged with its cause under a reference, which is all that the user gets.
func (b *Broker) refuse(ctx context.Context, err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	f := fault.From(err)
	status, ok := statuses[f.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	r = &refusal{status: status, text: f.User}
	if f.Field != "" {
		r.text = f.Field + ": " + f.User
	}
	if status < http.StatusInternalServerError {
		return r
	}
	reference := fault.NewReference()
	b.log.ErrorContext(ctx, "request failed", "reference", reference, "kind", f.Kind, "error", err.Error(), "their_reference", f.Reference)
	if f.Kind == fault.Unavailable {
		r.text += ": try again later"
		r.retry = 5 * time.Second
	} else {
		r.text = "internal error: try again"
	}
	r.text += "; if that does not help, give your operator the reference " + reference
	return r
}

// failure is err as brokerapi understands it; nil stays nil. brokerapi matches
// errors by type, not with errors.As, and sends the text of all others to the
// client: nothing else may be returned to it.
func (b *Broker) failure(ctx context.Context, action string, err error) error {
	if err == nil {
		return nil
	}
	r := b.refuse(ctx, err)
	gate.NotesOf(ctx).RetryAfter = r.retry
	builder := apiresponses.NewFailureResponseBuilder(errors.New(r.text), r.status, action)
	if r.code != "" {
		builder = builder.WithErrorKey(r.code)
	}
	if r.empty {
		builder = builder.WithEmptyResponse()
	}
	return builder.Build()
}

// gateRefusal is err as the gate understands it.
func (b *Broker) gateRefusal(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	r := b.refuse(ctx, err)
	return &gate.Refusal{Status: r.status, Code: r.code, Description: r.text, RetryAfter: r.retry}
}
