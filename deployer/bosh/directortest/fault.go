package directortest

import (
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// discard drops what net/http says about connections that tests break.
var discard = log.New(io.Discard, "", 0)

// Trouble is what happens to a request.
type Trouble int

// The kinds of trouble.
const (
	LoseRequest Trouble = iota + 1 // the connection breaks before the director has read it
	LoseAnswer                     // it is carried out, then the connection breaks
	Late                           // the connection breaks, and it is carried out after Delay
	Slow                           // it is carried out at once and answered after Delay
	Refuse                         // it is answered with Status and Body and not carried out
	BadGateway                     // it is carried out and answered by a proxy with 502
	Repeat                         // it is carried out five times: a client or proxy that retries
)

// Fault is trouble for the next requests that fit.
type Fault struct {
	Method  string
	Path    string // prefix
	Trouble Trouble
	Delay   time.Duration
	Status  int
	Body    string
	Times   int // default 1
}

// Inject lets a fault happen.
func (f *Fake) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Times == 0 {
		fault.Times = 1
	}
	f.faults = append(f.faults, &fault)
}

// FailNextTask lets the next task of a deployment end in an error, after it
// has begun to change things.
func (f *Fake) FailNextTask(deployment string, code int, message string) {
	f.Inject(Fault{Method: "TASK", Path: deployment, Status: code, Body: message})
}

// takeFault finds the fault for a request, nil for none. The caller holds mu.
func (f *Fake) takeFault(method, path string) *Fault {
	for i, fault := range f.faults {
		if fault.Method == method && strings.HasPrefix(path, fault.Path) {
			if fault.Times--; fault.Times == 0 {
				f.faults = append(f.faults[:i:i], f.faults[i+1:]...)
			}
			return fault
		}
	}
	return nil
}

// trouble wraps the director's routes.
func (f *Fake) trouble(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		fault := f.takeFault(r.Method, r.URL.Path)
		f.mu.Unlock()
		if fault == nil {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		carryOut := func(to http.ResponseWriter) {
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(strings.NewReader(string(body)))
			next.ServeHTTP(to, again)
		}
		switch fault.Trouble {
		case LoseRequest:
			hangUp(w)
		case LoseAnswer:
			carryOut(newSink())
			hangUp(w)
		case Late:
			f.running.Add(1)
			time.AfterFunc(fault.Delay, func() { defer f.running.Done(); carryOut(newSink()) })
			hangUp(w)
		case Slow:
			s := newSink()
			carryOut(s)
			select {
			case <-time.After(fault.Delay):
			case <-r.Context().Done():
			}
			s.copyTo(w)
		case Refuse:
			w.WriteHeader(fault.Status)
			io.WriteString(w, fault.Body)
		case BadGateway:
			carryOut(newSink())
			w.WriteHeader(http.StatusBadGateway)
			io.WriteString(w, "<html><body>502 Bad Gateway</body></html>")
		case Repeat:
			for range 4 {
				carryOut(newSink())
			}
			carryOut(w)
		}
	})
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

func (f *Fake) countConnections(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		f.mu.Lock()
		f.connections++
		f.mu.Unlock()
	}
}

// sink keeps an answer.
type sink struct {
	header http.Header
	status int
	body   strings.Builder
}

func newSink() *sink { return &sink{header: http.Header{}, status: http.StatusOK} }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return s.body.Write(p) }

func (s *sink) copyTo(w http.ResponseWriter) {
	for key, values := range s.header {
		w.Header()[key] = values
	}
	w.WriteHeader(s.status)
	io.WriteString(w, s.body.String())
}
