package jsonhttp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// MaxBody bounds every request and answer, bytes.
const MaxBody = 1 << 20

// wireFault is a fault on the wire: kind, message, field and reference, never
// the cause.
type wireFault struct {
	Kind      fault.Kind `json:"kind"`
	Message   string     `json:"message"`
	Field     string     `json:"field,omitempty"`
	Reference string     `json:"reference,omitempty"`
}

var statuses = map[fault.Kind]int{
	fault.Invalid:      http.StatusBadRequest,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.Forbidden:    http.StatusForbidden,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.Internal:     http.StatusInternalServerError,
}

// Func answers one request: a status and a value to encode, or an error.
type Func func(r *http.Request) (status int, body any, err error)

// Handle turns a Func into a handler. Errors become faults: an internal or
// unavailable one is logged with its cause under a new reference, which is
// sent along.
func Handle(log *slog.Logger, f Func) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body, err := f(r)
		if err != nil {
			WriteError(w, r, log, err)
			return
		}
		write(w, status, body)
	})
}

// WriteError sends an error as a fault and logs what the caller must not see.
func WriteError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	f := *fault.From(err)
	if f.Reference == "" && (f.Kind == fault.Internal || f.Kind == fault.Unavailable) {
		f.Reference = fault.NewReference()
		log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "reference", f.Reference, "error", err.Error())
	}
	status, ok := statuses[f.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	write(w, status, wireFault{Kind: f.Kind, Message: f.User, Field: f.Field, Reference: f.Reference})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		// The client is gone if this fails; there is nobody left to tell.
		_ = json.NewEncoder(w).Encode(body)
	}
}

// Decode reads exactly one JSON value from the body, refusing unknown fields,
// trailing data and bodies over MaxBody.
func Decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, MaxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return fault.New(fault.Invalid, "the body is larger than %d bytes", MaxBody)
		}
		return fault.New(fault.Invalid, "the body is not the JSON this call takes: %s", err)
	}
	if err := decoder.Decode(new(json.RawMessage)); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "the body goes on after its JSON value")
	}
	return nil
}

// RequireToken lets only requests with this bearer token through. It panics
// on an empty token: an unauthenticated internal API is a defect.
func RequireToken(token secret.Secret, next http.Handler) http.Handler {
	if token.Empty() {
		panic("jsonhttp: empty token")
	}
	want := sha256.Sum256([]byte(token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !found || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="holdfast"`)
			write(w, http.StatusUnauthorized, wireFault{Kind: fault.Unauthorized, Message: "the bearer token is missing or wrong"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Recover answers a panic with an internal fault instead of a dropped
// connection, and logs it.
func Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				WriteError(w, r, log, fmt.Errorf("panic: %v", p))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
