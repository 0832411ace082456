package status

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

// Keeper is what the endpoint speaks for.
type Keeper interface {
	// Report returns the state as last decided.
	Report() Report
	// Ask hands a request to the next decision and waits for its reply.
	Ask(ctx context.Context, r decide.Request) (Answer, error)
}

// askWithin bounds how long a request may be worked on: a drain waits for a clean stop.
const askWithin = 5 * time.Minute

// Serve answers on the node's address until ctx ends.
func Serve(ctx context.Context, s *settings.Settings, keeper Keeper, log *slog.Logger) error {
	certificate, err := tls.LoadX509KeyPair(s.Status.Certificate, s.Status.PrivateKey)
	if err != nil {
		return fmt.Errorf("load the status endpoint's certificate: %w", err)
	}
	address := net.JoinHostPort(s.Address, strconv.Itoa(s.Status.Port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("open the status endpoint: %w", err)
	}
	server := &http.Server{
		Handler:           Handler(keeper, s.Status.Token.Reveal()),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the status endpoint: %w", err)
	}
	return nil
}

// Handler is the endpoint without its listener.
func Handler(keeper Keeper, token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, keeper.Report()) })
	for ask, door := range doors {
		mux.HandleFunc("POST /v1/"+door, func(w http.ResponseWriter, r *http.Request) { post(w, r, keeper, ask) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := []byte(r.Header.Get("Authorization"))
		if subtle.ConstantTimeCompare(given, []byte("Bearer "+token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			reply(w, http.StatusUnauthorized, Answer{Why: "the token is not this deployment's"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func post(w http.ResponseWriter, r *http.Request, keeper Keeper, ask decide.Ask) {
	var in request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, Answer{Why: "the request is not understood: " + err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askWithin)
	defer cancel()
	answer, err := keeper.Ask(ctx, decide.Request{
		Ask: ask, From: in.From, Holder: in.Holder, Epoch: in.Epoch, Target: in.Target, Force: in.Force,
	})
	if err != nil {
		reply(w, http.StatusServiceUnavailable, Answer{Why: err.Error()})
		return
	}
	reply(w, http.StatusOK, answer)
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}
