package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connect opens a session with the uri of the credentials and nothing else; at
// one host instead of the uri's own where one is named.
func (d *demo) connect(ctx context.Context, in *instance, host string) (*pgx.Conn, error) {
	uri, ok := in.credentials["uri"].(string)
	if !ok {
		return nil, errors.New("the credentials hold no uri")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(uri)
	if err != nil {
		return nil, fmt.Errorf("understand the uri: %w", err)
	}
	config.LookupFunc, config.Host = d.lookup, cmp.Or(host, config.Host)
	return pgx.ConnectConfig(ctx, config)
}

func (d *demo) useSQL(ctx context.Context) error {
	conn, err := d.connect(ctx, d.single, "")
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range []string{
		"CREATE TABLE guests (id bigint GENERATED ALWAYS AS IDENTITY, name text NOT NULL)",
		"INSERT INTO guests (name) SELECT 'guest ' || n FROM generate_series(1, 1000) n",
	} {
		tag, err := conn.Exec(ctx, statement)
		if err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		d.say("%s  ->  %s", statement, tag)
	}
	var count int
	var version, user string
	err = conn.QueryRow(ctx, "SELECT (SELECT count(*) FROM guests), current_setting('server_version'), session_user").Scan(&count, &version, &user)
	if err != nil {
		return fmt.Errorf("read the rows back: %w", err)
	}
	if count != 1000 {
		return fmt.Errorf("%d rows came back, 1000 were written", count)
	}
	secured, ok := conn.PgConn().Conn().(*tls.Conn)
	if !ok {
		return errors.New("the session is not over TLS")
	}
	d.say("%d rows read back from PostgreSQL %s as %s over %s", count, strings.Fields(version)[0], user, tls.VersionName(secured.ConnectionState().Version))
	return nil
}

// refusedLogin checks that the credentials open nothing now, because the
// server says so.
func (d *demo) refusedLogin(ctx context.Context, in *instance) error {
	conn, err := d.connect(ctx, in, "")
	if err == nil {
		conn.Close(context.WithoutCancel(ctx))
		return errors.New("the removed credentials still log in")
	}
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return fmt.Errorf("the server should refuse the login, but: %w", err)
	}
	d.say("the server says: %s %s (%s)", refusal.Severity, refusal.Message, refusal.Code)
	return nil
}

// gone checks that an instance's names are not known any more and that nothing
// answers where its servers were.
func (d *demo) gone(ctx context.Context, in *instance) error {
	if len(in.nodes) == 0 {
		return fmt.Errorf("the nodes of the instance of plan %s are not known", in.planName)
	}
	host := fmt.Sprint(in.credentials["host"])
	_, err := d.lookup(ctx, host)
	var fault *net.DNSError
	if !errors.As(err, &fault) || !fault.IsNotFound {
		return fmt.Errorf("the name %s should be unknown, but the answer is: %v", host, err)
	}
	addresses, answers := make([]string, len(in.nodes)), make([]bool, len(in.nodes))
	var wait sync.WaitGroup
	for i, n := range in.nodes {
		addresses[i] = net.JoinHostPort(n.address, fmt.Sprint(in.credentials["port"]))
		wait.Go(func() {
			conn, err := (&net.Dialer{Timeout: 500 * time.Millisecond}).DialContext(ctx, "tcp", addresses[i])
			if answers[i] = err == nil; answers[i] {
				conn.Close()
			}
		})
	}
	wait.Wait()
	if i := slices.Index(answers, true); i >= 0 {
		return fmt.Errorf("something still answers on %s", addresses[i])
	}
	d.say("%s: its name is unknown, and nothing answers on %s", in.planName, strings.Join(addresses, ", "))
	return nil
}
