package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// listen opens the socket, which only the guard's own user may use.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove a stale socket: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the guard's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("protect the guard's socket: %w", err)
	}
	return listener, nil
}

func (g *Guard) serve(ctx context.Context, listener net.Listener, quit func()) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() == nil {
				g.log.Error("the guard's socket is lost", "error", err)
				quit()
			}
			return
		}
		go g.converse(ctx, conn, quit)
	}
}

// converse answers commands one after the other; a client that must not wait
// uses a connection of its own.
func (g *Guard) converse(ctx context.Context, conn net.Conn, quit func()) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	out := json.NewEncoder(conn)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return
		}
		if c.Do == "watch" {
			g.watch(ctx, conn, out)
			return
		}
		err := g.obey(c, quit)
		g.mu.Lock()
		answer := g.state
		g.mu.Unlock()
		if err != nil {
			answer.Err = err.Error()
		}
		if out.Encode(answer) != nil {
			return
		}
	}
}

func (g *Guard) obey(c command, quit func()) error {
	switch c.Do {
	case "state":
		return nil
	case "start":
		return g.start(c.Deadline)
	case "stop":
		return g.stop(c.Mode, c.Within)
	case "kill":
		return g.kill(c.Why)
	case "reload":
		if g.signal(0, syscall.SIGHUP) == 0 {
			return errors.New("no server runs")
		}
		return nil
	case "extend":
		return g.extend(c.Deadline)
	case "alive":
		g.alive()
		return nil
	case "quit":
		quit()
		return nil
	}
	return fmt.Errorf("unknown command %q", c.Do)
}

// watch sends the state at once and at each change until the client goes.
func (g *Guard) watch(ctx context.Context, conn net.Conn, out *json.Encoder) {
	for {
		g.mu.Lock()
		state, changed := g.state, g.changed
		g.mu.Unlock()
		// A client that is stopped must not hold the guard's memory.
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if out.Encode(state) != nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
