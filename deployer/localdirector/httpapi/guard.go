package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

const (
	// requestTime bounds reading a request; uploads move their own deadline.
	requestTime = time.Minute
	// answerTime bounds writing an answer, such as a long debug log.
	answerTime       = 10 * time.Minute
	maxContextID     = 64
	headerContextID  = "X-Bosh-Context-Id"
	codeContextIDMax = 70010
)

// user is the name of an authenticated user, or "". It takes the same time
// whatever is wrong.
func (a *api) user(r *http.Request) string {
	username, password, ok := r.BasicAuth()
	if !ok {
		return ""
	}
	gotUser, wantUser := sha256.Sum256([]byte(username)), sha256.Sum256([]byte(a.Username))
	gotPassword, wantPassword := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(a.Password))
	same := subtle.ConstantTimeCompare(gotUser[:], wantUser[:]) & subtle.ConstantTimeCompare(gotPassword[:], wantPassword[:])
	if same != 1 || a.Password == "" {
		return ""
	}
	return username
}

// guarded keeps requests within bounds and a panic within its request.
func (a *api) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				a.Log.Error("a request panicked", "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		// Connections that cannot have deadlines, those of tests, go without.
		deadlines := http.NewResponseController(w)
		_ = deadlines.SetReadDeadline(time.Now().Add(requestTime))
		_ = deadlines.SetWriteDeadline(time.Now().Add(answerTime))
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if len(r.Header.Get(headerContextID)) > maxContextID {
			a.answer(w, r, task.Errorf(codeContextIDMax, "%s cannot be more than %d characters in length", headerContextID, maxContextID))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// logged notes each request; its query and body may hold what is nobody's
// business.
func (a *api) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		a.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", status.status, "took", time.Since(begin))
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
