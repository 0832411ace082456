package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestErrorIsTheOperatorsView(t *testing.T) {
	for want, err := range map[string]*Error{
		"no instance x":                New(NotFound, "no instance %s", "x"),
		"parameters.n: must be ≥ 1":    InvalidField("parameters.n", "must be ≥ %d", 1),
		"try later: unexpected EOF":    Wrap(Unavailable, io.ErrUnexpectedEOF, "try later"),
		"internal error: disk on fire": From(errors.New("disk on fire")),
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err.Error(), want)
		}
	}
}

func TestFrom(t *testing.T) {
	inner := New(Conflict, "taken")
	wrapped := fmt.Errorf("create x: %w", inner)
	if got := From(wrapped); got != inner {
		t.Errorf("the fault in a chain: got %v, want %v", got, inner)
	}
	unknown := From(errors.New("password hunter22 refused"))
	if unknown.Kind != Internal || unknown.User != "internal error" {
		t.Errorf("an error without a fault: got kind %s and user text %q, want it closed", unknown.Kind, unknown.User)
	}
	if From(nil) != nil {
		t.Error("no error became a fault")
	}
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("bind: %w", Wrap(Unavailable, io.EOF, "try later"))
	for _, c := range []struct {
		err  error
		kind Kind
		want bool
	}{{err, Unavailable, true}, {err, Internal, false}, {errors.New("x"), Internal, true}, {nil, Internal, false}} {
		if got := Is(c.err, c.kind); got != c.want {
			t.Errorf("Is(%v, %s): got %v, want %v", c.err, c.kind, got, c.want)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
}

func TestReferencesDiffer(t *testing.T) {
	a, b := NewReference(), NewReference()
	if a == b || len(a) != 10 {
		t.Errorf("references %q and %q", a, b)
	}
}
