package postgresql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

// binding is what a request's ids and parameters come to.
type binding struct {
	key        instanceKey
	id         string
	role       string
	parameters bindingParameters
}

func newBinding(in spi.BindRequest) (binding, error) {
	parameters, err := readBindingParameters(in.Parameters)
	if err != nil {
		return binding{}, err
	}
	key, err := readInstanceKey(in.Instance.Secrets[secretKey])
	if err != nil {
		return binding{}, err
	}
	return binding{key: key, id: in.BindingID, role: key.roleName(in.BindingID), parameters: parameters}, nil
}

// comment marks the role in the server, so that a repeated bind is told from a
// different one.
func (b binding) comment() string {
	return fmt.Sprintf("holdfast binding: read_only=%t connection_limit=%d", b.parameters.ReadOnly, b.parameters.ConnectionLimit)
}

func (b binding) mark() string { return fmt.Sprintf("COMMENT ON ROLE %s IS '%s'", b.role, b.comment()) }

// Bind makes the binding's login role, all of it or nothing.
func (s *Service) Bind(ctx context.Context, in spi.BindRequest) (spi.Credentials, error) {
	b, err := newBinding(in)
	if err != nil {
		return nil, err
	}
	statements, err := b.statements()
	if err != nil {
		return nil, err
	}
	var primary string
	err = s.onPrimary(ctx, in.Instance, database, func(ctx context.Context, conn *pgx.Conn) error {
		primary = conn.Config().Host
		err := s.execAll(ctx, conn, statements)
		if !hasCode(err, codeDuplicateObject, codeUniqueViolation) {
			return err
		}
		if err := b.check(ctx, conn); err != nil {
			return err
		}
		// An earlier attempt may have given up waiting for a standby to have it.
		return s.execAll(ctx, conn, []string{b.mark()})
	})
	if err != nil {
		return nil, err
	}
	s.awaitLogin(ctx, in.Instance, primary, b.role)
	return s.credentials(in.Instance, b), nil
}

// loginLimit bounds the wait for standbys to know a new binding.
const loginLimit = 3 * time.Second

// awaitLogin waits until the standbys know the role, so that credentials work
// everywhere from the start. One that does not in time keeps nobody waiting.
func (s *Service) awaitLogin(ctx context.Context, in spi.Instance, primary, role string) {
	ctx, cancel := context.WithTimeout(ctx, loginLimit)
	defer cancel()
	for _, node := range in.Nodes {
		if len(in.Nodes) == 1 || node.Address == primary {
			continue
		}
		err := s.onNode(ctx, in, node, adminDatabase, func(ctx context.Context, conn *pgx.Conn) error {
			return awaitRole(ctx, conn, role, true)
		})
		if err != nil {
			s.log.WarnContext(ctx, "a standby does not know a new binding yet", "node", node.Name, "error", err.Error())
		}
	}
}

// statements make the role. Its name and verifier consist of characters that
// need no quoting.
func (b binding) statements() ([]string, error) {
	verifier, err := b.key.verifier(b.id)
	if err != nil {
		return nil, err
	}
	group := ownerRole
	if b.parameters.ReadOnly {
		group = readerRole
	}
	statements := []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT %d PASSWORD '%s' IN ROLE %s", b.role, b.parameters.ConnectionLimit, verifier, group),
		fmt.Sprintf("GRANT %s TO CURRENT_USER", b.role), // to remove it again
		b.mark(),
	}
	if b.parameters.ReadOnly {
		return append(statements, fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET default_transaction_read_only = on", b.role, database)), nil
	}
	// Sessions act as the owner from the start. Where one goes back to its own
	// role (DISCARD ALL does), the release's event trigger gives what it makes
	// to the owner, and these privileges hold until then.
	statements = append(statements, fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET role = '%s'", b.role, database, ownerRole))
	return append(statements, readerPrivileges(b.role)...), nil
}

// check tells whether the role that is there is this binding's.
func (b binding) check(ctx context.Context, conn *pgx.Conn) error {
	var comment string
	err := conn.QueryRow(ctx, "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1 AND rolcanlogin", b.role).Scan(&comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "the binding does not exist")
	}
	if err != nil {
		return fmt.Errorf("look for the binding's role: %w", err)
	}
	if comment != b.comment() {
		return fault.New(fault.Conflict, "the binding exists with other parameters")
	}
	return nil
}

// Credentials returns what Bind returned.
func (s *Service) Credentials(ctx context.Context, in spi.BindRequest) (spi.Credentials, error) {
	b, err := newBinding(in)
	if err != nil {
		return nil, err
	}
	err = s.onPrimary(ctx, in.Instance, database, b.check)
	if err != nil {
		return nil, err
	}
	return s.credentials(in.Instance, b), nil
}

// credentials are what the app sees: names that stay when primaries and VMs
// change. TLS is always on; an app that also wants to know whom it talks to
// trusts cacrt and asks for verify-full.
func (s *Service) credentials(in spi.Instance, b binding) spi.Credentials {
	password := b.key.password(b.id)
	port := strconv.Itoa(s.config.Port)
	// On the nodes' names drivers find the right one by themselves, faster than DNS.
	host, session := s.primaryName(in.Deployment), "read-write"
	if b.parameters.ReadOnly && len(in.Nodes) > 1 {
		host, session = s.replicaName(in.Deployment), "prefer-standby"
	} else if b.parameters.ReadOnly {
		session = "any" // these sessions are read-only by default, which read-write refuses
	}
	hosts, all := make([]any, len(in.Nodes)), make([]string, len(in.Nodes))
	for i, node := range in.Nodes {
		name := s.nodeName(in.Deployment, node.Index)
		hosts[i], all[i] = name, net.JoinHostPort(name, port)
	}
	address := net.JoinHostPort(host, port)
	uri := url.URL{Scheme: "postgresql", User: url.UserPassword(b.role, password), Host: address, Path: "/" + database, RawQuery: "sslmode=require"}
	multi := uri
	multi.Host, multi.RawQuery = strings.Join(all, ","), uri.RawQuery+"&target_session_attrs="+session
	jdbc := url.Values{"user": {b.role}, "password": {password}, "sslmode": {"require"}}
	return spi.Credentials{
		"host": host, "hosts": hosts, "port": s.config.Port,
		"name": database, "database": database,
		"username": b.role, "password": password,
		"uri": uri.String(), "multi_host_uri": multi.String(),
		"jdbcUrl": "jdbc:postgresql://" + address + "/" + database + "?" + jdbc.Encode(),
		"cacrt":   in.Secrets[secretCA].Reveal(),
	}
}
