package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/logging"
)

// partConfig is a part's configuration file.
type partConfig interface {
	config.Validator
	// listenAddress is where the part serves, host:port.
	listenAddress() string
}

// partCommand makes the command of a part: it reads the configuration, and
// serves until it is told to stop.
func partCommand[C partConfig](use, short, name string, defaults func() C, build func(ctx context.Context, cfg C, log *slog.Logger) (*service, error)) *cobra.Command {
	var file string
	var check bool
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	cmd.Flags().StringVar(&file, "config", "", "the part's configuration, YAML (required)")
	cmd.Flags().BoolVar(&check, "check-config", false, "say whether the configuration is right, and end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return errors.New("--config FILE is required")
		}
		cfg := defaults()
		if err := config.Load(file, cfg); err != nil {
			return err
		}
		if check {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is right\n", file)
			return nil
		}
		log := logging.New(cmd.ErrOrStderr(), name, slog.LevelInfo)
		s, err := build(cmd.Context(), cfg, log)
		if err != nil {
			return err
		}
		return s.run(cmd.Context(), cfg.listenAddress(), log)
	}
	return cmd
}

// service is a part that was built and waits to be run.
type service struct {
	handler http.Handler
	// background runs beside the server until its context ends; nil for none.
	background func(context.Context) error
	// more are further listeners, such as one for metrics.
	more map[string]http.Handler
	// closers are called last, in reverse order.
	closers []io.Closer
}

// stopLimit bounds how long open requests may take after the stop.
const stopLimit = 15 * time.Second

func (s *service) run(ctx context.Context, listen string, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer func() {
		for i := len(s.closers) - 1; i >= 0; i-- {
			if err := s.closers[i].Close(); err != nil {
				log.Error("closing failed", "error", err.Error())
			}
		}
	}()
	handlers := map[string]http.Handler{listen: s.handler}
	for address, handler := range s.more {
		handlers[address] = handler
	}
	failed := make(chan error, len(handlers)+1)
	for address, handler := range handlers {
		end, err := serve(address, handler, log, failed)
		if err != nil {
			return err
		}
		defer end()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.background != nil {
			if err := s.background(ctx); err != nil {
				failed <- err
			}
		}
	}()
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case err = <-failed:
	}
	stop()
	<-done
	return err
}

// serve starts one server; end stops its intake and waits for open requests.
func serve(address string, handler http.Handler, log *slog.Logger, failed chan<- error) (end func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve on %s: %w", address, err)
		}
	}()
	log.Info("serving", "address", listener.Addr().String())
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			log.Warn("open requests were cut off", "error", err.Error())
		}
	}, nil
}

// closer makes a Closer of a function without an error.
type closer func()

func (c closer) Close() error { c(); return nil }

// checkListen tells what is wrong with a listen address.
func checkListen(key, address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("%s: must be host:port, got %q", key, address)
	}
	return nil
}
