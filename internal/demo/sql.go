package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connect opens a session with the uri of the credentials and nothing else.
func (d *demo) connect(ctx context.Context) (*pgx.Conn, error) {
	uri, ok := d.credentials["uri"].(string)
	if !ok {
		return nil, errors.New("the credentials hold no uri")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config, err := pgx.ParseConfig(uri)
	if err != nil {
		return nil, fmt.Errorf("understand the uri: %w", err)
	}
	if d.lookup != nil {
		config.LookupFunc = d.lookup
	}
	return pgx.ConnectConfig(ctx, config)
}

// lookUp notes where the first server is, while its name is known.
func (d *demo) lookUp(ctx context.Context) error {
	hosts, _ := d.credentials["hosts"].([]any)
	if len(hosts) == 0 || d.lookup == nil {
		return nil
	}
	host := fmt.Sprint(hosts[0])
	addresses, err := d.lookup(ctx, host)
	if err != nil {
		return fmt.Errorf("look up %s: %w", host, err)
	}
	if d.address = addresses[0]; d.address != host {
		d.say("%-9s %s by DNS, without a change to this machine's own", "address", d.address)
	}
	return nil
}

func (d *demo) useSQL(ctx context.Context) error {
	conn, err := d.connect(ctx)
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
func (d *demo) refusedLogin(ctx context.Context) error {
	conn, err := d.connect(ctx)
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

// refusedConnection checks that nothing answers where the server was.
func (d *demo) refusedConnection(ctx context.Context) error {
	hosts, _ := d.credentials["hosts"].([]any)
	if len(hosts) == 0 {
		return errors.New("the credentials hold no hosts")
	}
	address := net.JoinHostPort(cmp.Or(d.address, fmt.Sprint(hosts[0])), fmt.Sprint(d.credentials["port"]))
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err == nil {
		conn.Close()
		return fmt.Errorf("something still answers on %s", address)
	}
	d.say("nothing answers on %s", address)
	return nil
}
