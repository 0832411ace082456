package gate

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/logging"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Config is what the gate needs to know.
type Config struct {
	Username string
	Password secret.Secret
	// Ready tells whether the broker can answer at all; nil: it can.
	Ready func() error
	// Admit may refuse a well-formed request before its verb runs.
	Admit func(ctx context.Context, req Request) error
	// Observe is told of every request that was answered.
	Observe func(verb string, status int, took time.Duration)
	Log     *slog.Logger
}

type gate struct {
	cfg        Config
	user, pass [sha256.Size]byte
	next       http.Handler
}

// New wraps brokerapi's handler. It panics on empty credentials: an open
// broker is a defect.
func New(cfg Config, next http.Handler) http.Handler {
	if cfg.Username == "" || cfg.Password.Empty() {
		panic("gate: empty credentials")
	}
	return &gate{cfg: cfg, next: next, user: sha256.Sum256([]byte(cfg.Username)), pass: sha256.Sum256([]byte(cfg.Password.Reveal()))}
}

// visit is one request on its way through the gate.
type visit struct {
	*gate
	req        Request
	originator string
	requestID  string
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	v := &visit{gate: g}
	recorder := &statusRecorder{ResponseWriter: w}
	if id := r.Header.Get(requestIdentityHeader); requestIdentity.MatchString(id) {
		v.requestID = id
		w.Header().Set(requestIdentityHeader, id)
	}
	defer func() {
		if p := recover(); p != nil {
			reference := fault.NewReference()
			g.cfg.Log.ErrorContext(r.Context(), "request panicked", "reference", reference, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if recorder.status == 0 {
				sendRefusal(recorder, &Refusal{Status: http.StatusInternalServerError, Description: "internal error, reference " + reference})
			}
		}
		v.log(r, recorder.status, time.Since(start))
	}()
	if err := v.serve(recorder, r); err != nil {
		sendRefusal(recorder, err)
	}
}

// serve checks the request from the outside in and lets it through.
func (v *visit) serve(w http.ResponseWriter, r *http.Request) *Refusal {
	if r.URL.Path == "/healthz" && r.Method == http.MethodGet {
		return v.healthz(w)
	}
	if !v.authorized(r) {
		return &Refusal{Status: http.StatusUnauthorized, Description: "the credentials are missing or wrong"}
	}
	if refusal := checkVersion(r); refusal != nil {
		return refusal
	}
	var refusal *Refusal
	if v.req, refusal = understand(r); refusal != nil {
		return refusal
	}
	if v.originator, refusal = originator(r); refusal != nil {
		return refusal
	}
	if refusal := v.notReady(); refusal != nil {
		return refusal
	}
	if refusal := readBody(r, &v.req); refusal != nil {
		return refusal
	}
	notes := &Notes{}
	ctx := logging.With(r.Context(), v.attrs()...)
	ctx = context.WithValue(ctx, notesKey{}, notes)
	if v.cfg.Admit != nil {
		if err := v.cfg.Admit(ctx, v.req); err != nil {
			return asRefusal(err)
		}
	}
	held := &answer{header: http.Header{}}
	v.next.ServeHTTP(held, r.WithContext(ctx))
	held.send(w, notes)
	return nil
}

func asRefusal(err error) *Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &Refusal{Status: http.StatusInternalServerError, Description: "internal error"}
}

func (v *visit) notReady() *Refusal {
	if v.cfg.Ready == nil {
		return nil
	}
	if err := v.cfg.Ready(); err != nil {
		return &Refusal{Status: http.StatusServiceUnavailable, Description: err.Error(), RetryAfter: 2 * time.Second}
	}
	return nil
}

// healthz tells anybody whether the broker can answer, and nothing else.
func (v *visit) healthz(w http.ResponseWriter) *Refusal {
	v.req.Verb = "healthz"
	if refusal := v.notReady(); refusal != nil {
		return refusal
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"status\":\"ok\"}\n"))
	return nil
}

// authorized compares hashes, so that neither content nor length shows in the
// time it takes.
func (v *visit) authorized(r *http.Request) bool {
	user, pass, ok := r.BasicAuth()
	givenUser, givenPass := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(pass))
	sameUser := subtle.ConstantTimeCompare(givenUser[:], v.user[:])
	samePass := subtle.ConstantTimeCompare(givenPass[:], v.pass[:])
	return ok && sameUser&samePass == 1
}

func (v *visit) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("verb", v.req.Verb)}
	for _, a := range []struct{ key, value string }{
		{"instance_id", v.req.InstanceID}, {"binding_id", v.req.BindingID}, {"request_id", v.requestID}, {"originator", v.originator},
	} {
		// Ids that were refused are not what they claim to be.
		if a.value != "" && requestIdentity.MatchString(a.value) {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	return attrs
}

// log writes one line a request; what only reads is for debugging.
func (v *visit) log(r *http.Request, status int, took time.Duration) {
	verb := v.req.Verb
	if verb == "" {
		verb = "none"
	}
	if v.cfg.Observe != nil {
		v.cfg.Observe(verb, status, took)
	}
	level := slog.LevelInfo
	if r.Method == http.MethodGet && status < 500 {
		level = slog.LevelDebug
	}
	attrs := append(v.attrs(), slog.String("method", r.Method), slog.Int("status", status), slog.Duration("took", took))
	v.cfg.Log.LogAttrs(r.Context(), level, "request answered", attrs...)
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return s.ResponseWriter.Write(p)
}
