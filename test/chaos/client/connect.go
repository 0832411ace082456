package client

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// Login is what a binding's credentials give to an app.
type Login struct {
	Port                         int
	Database, Username, Password string
	SSLMode                      string
}

// To returns a Connect to one name: it is resolved before every connect.
func (l Login) To(host string, names Names) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) {
		config, err := l.config(host, "any", names)
		if err != nil {
			return nil, err
		}
		return pgx.ConnectConfig(ctx, config)
	}
}

// ToWritable returns a Connect to the first of several hosts that takes
// writes, as libpq does with target_session_attrs=read-write: every host may
// take up to Timeout.
func (l Login) ToWritable(hosts []string, names Names) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) {
		config, err := l.config(strings.Join(hosts, ","), "read-write", names)
		if err != nil {
			return nil, err
		}
		return pgx.ConnectConfig(context.WithoutCancel(ctx), config)
	}
}

// From returns a Connect to an address out of the network namespace that a
// process is in at that time: what a client sees that stays on that node's side
// of a cut.
func (l Login) From(process func() (int, error), address string) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) {
		pid, err := process()
		if err != nil {
			return nil, err
		}
		config, err := l.config(address, "any", Names{})
		if err != nil {
			return nil, err
		}
		config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialIn(ctx, pid, network, addr)
		}
		return pgx.ConnectConfig(ctx, config)
	}
}

func (l Login) config(hosts, attributes string, names Names) (*pgx.ConnConfig, error) {
	count := strings.Count(hosts, ",") + 1
	ports := strings.TrimSuffix(strings.Repeat(strconv.Itoa(l.Port)+",", count), ",")
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%s connect_timeout=%d sslmode=%s target_session_attrs=%s", hosts, ports, int(Timeout.Seconds()), l.SSLMode, attributes))
	if err != nil {
		return nil, fmt.Errorf("make the client's configuration: %w", err)
	}
	config.Database, config.User, config.Password = l.Database, l.Username, l.Password
	config.LookupFunc = names.Lookup
	return config, nil
}

// dialIn opens a connection in another network namespace. A socket belongs to
// the namespace its thread was in when it was made.
func dialIn(ctx context.Context, pid int, network, address string) (net.Conn, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("open this thread's network namespace: %w", err)
	}
	defer home.Close()
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("open the node's network namespace: %w", err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter the node's network namespace: %w", err)
	}
	// With one address the dialer makes its socket on this thread.
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked and ends with its goroutine: it must serve nobody else.
		return nil, fmt.Errorf("leave the node's network namespace: %w", back)
	}
	runtime.UnlockOSThread()
	return conn, err
}
