package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// Client commands a guard over its socket. Each call has a connection of its
// own, so that none waits for another.
type Client struct{ Socket string }

// Get returns the guard's state.
func (c Client) Get(ctx context.Context) (State, error) {
	return c.call(ctx, command{Do: "state"})
}

// Start starts the server, fenced from the deadline on. Refused when it runs or the deadline has passed.
func (c Client) Start(ctx context.Context, deadline decide.Instant) error {
	_, err := c.call(ctx, command{Do: "start", Deadline: deadline})
	return err
}

// Stop stops the server (mode smart or fast) and kills it after within; when it
// returns nil no process is left. Repeatable.
func (c Client) Stop(ctx context.Context, mode string, within time.Duration) error {
	_, err := c.call(ctx, command{Do: "stop", Mode: mode, Within: within})
	return err
}

// Kill ends the server at once; when it returns nil no process is left. Repeatable.
func (c Client) Kill(ctx context.Context, why string) error {
	_, err := c.call(ctx, command{Do: "kill", Why: why})
	return err
}

// Reload has the running server read its configuration again.
func (c Client) Reload(ctx context.Context) error {
	_, err := c.call(ctx, command{Do: "reload"})
	return err
}

// Extend moves the deadline of the running server. Refused when it has passed.
func (c Client) Extend(ctx context.Context, deadline decide.Instant) (State, error) {
	return c.call(ctx, command{Do: "extend", Deadline: deadline})
}

// Alive says that the keeper decides. One that has said so once and then says
// nothing for ten seconds is killed.
func (c Client) Alive(ctx context.Context) error {
	_, err := c.call(ctx, command{Do: "alive"})
	return err
}

// Quit asks the guard to end keeper, server and itself, and returns when its socket is closed.
func (c Client) Quit(ctx context.Context) error {
	if _, err := c.call(ctx, command{Do: "quit"}); err != nil {
		return err
	}
	for {
		conn, err := c.dial(ctx)
		if err != nil {
			return ctx.Err()
		}
		conn.Close()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Watch calls seen with the state, now and at each change, until the guard is
// gone or ctx ends.
func (c Client) Watch(ctx context.Context, seen func(State)) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(command{Do: "watch"}); err != nil {
		return fmt.Errorf("watch the guard: %w", err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		var state State
		if err := json.Unmarshal(lines.Bytes(), &state); err != nil {
			return fmt.Errorf("read the guard's state: %w", err)
		}
		seen(state)
	}
	return errors.New("the guard is gone")
}

func (c Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, fmt.Errorf("reach the guard: %w", err)
	}
	return conn, nil
}

func (c Client) call(ctx context.Context, what command) (State, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return State{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var state State
	if err := json.NewEncoder(conn).Encode(what); err != nil {
		return State{}, fmt.Errorf("ask the guard to %s: %w", what.Do, err)
	}
	if err := json.NewDecoder(conn).Decode(&state); err != nil {
		return State{}, fmt.Errorf("hear the guard's answer to %s: %w", what.Do, errors.Join(err, ctx.Err()))
	}
	if state.Err != "" {
		return state, fmt.Errorf("guard, asked to %s: %s", what.Do, state.Err)
	}
	return state, nil
}
