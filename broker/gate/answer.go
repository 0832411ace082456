package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Refusal is an answer other than success.
type Refusal struct {
	Status      int
	Code        string // OSB's error code, "ConcurrencyError", or empty
	Description string
	RetryAfter  time.Duration
	Allow       string // of a 405
}

func (r *Refusal) Error() string { return r.Description }

func invalid(field, text string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Description: field + ": " + text}
}

// Notes are what a verb wants in its answer beyond what brokerapi can say.
type Notes struct {
	RetryAfter time.Duration
	Members    map[string]any // added to the body's object
}

type notesKey struct{}

// NotesOf returns the notes of the request with this context, to be filled in.
func NotesOf(ctx context.Context) *Notes {
	if notes, ok := ctx.Value(notesKey{}).(*Notes); ok {
		return notes
	}
	return &Notes{} // not below the gate: nobody reads them
}

// answer is what the handler below wrote, held back until it is complete.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// send writes the answer: always JSON, with the notes in it.
func (a *answer) send(w http.ResponseWriter, notes *Notes) {
	body := a.body.Bytes()
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		// The library's plain text.
		sendRefusal(w, &Refusal{Status: a.status, Description: http.StatusText(a.status)})
		return
	}
	if len(notes.Members) > 0 {
		var err error
		if body, err = withMembers(object, notes.Members); err != nil {
			sendRefusal(w, &Refusal{Status: http.StatusInternalServerError, Description: "internal error"})
			return
		}
	}
	retryAfter(w, notes.RetryAfter)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	// The client is gone if this fails; there is nobody left to tell.
	_, _ = w.Write(body)
}

func withMembers(object map[string]json.RawMessage, members map[string]any) ([]byte, error) {
	all := make(map[string]any, len(object)+len(members))
	for name, value := range object {
		all[name] = value
	}
	for name, value := range members {
		all[name] = value
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(all)
	return out.Bytes(), err
}

func sendRefusal(w http.ResponseWriter, r *Refusal) {
	if r.Allow != "" {
		w.Header().Set("Allow", r.Allow)
	}
	if r.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="service broker", charset="UTF-8"`)
	}
	retryAfter(w, r.RetryAfter)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(struct {
		Error       string `json:"error,omitempty"`
		Description string `json:"description"`
	}{r.Code, r.Description})
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}
