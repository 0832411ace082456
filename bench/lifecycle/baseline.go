package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/internal/stack"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
)

// baseline is an administrator's open connection to an instance: what the SQL
// of a bind costs without broker and provider.
type baseline struct{ conn *pgx.Conn }

// openBaseline takes the administrator's certificate out of the broker's own
// store.
func openBaseline(ctx context.Context, folder stack.Folder, instance string) (*baseline, error) {
	var settings struct {
		SealKey string `json:"seal_key"`
	}
	content, err := os.ReadFile(filepath.Join(string(folder), "settings.json"))
	if err != nil {
		return nil, fmt.Errorf("read the stack's settings: %w", err)
	}
	if err := json.Unmarshal(content, &settings); err != nil {
		return nil, fmt.Errorf("read the stack's settings: %w", err)
	}
	keys, err := store.NewKeyring([]store.Key{{ID: "local", Value: secret.New(settings.SealKey)}})
	if err != nil {
		return nil, err
	}
	rows, err := sqlite.Open(ctx, filepath.Join(string(folder), "broker", "broker.db"), keys, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	row, err := rows.Instance(ctx, instance)
	if err != nil {
		return nil, err
	}
	secrets := row.Private.Prepared.Secrets
	certificate, err := tls.X509KeyPair([]byte(secrets["admin_certificate"].Reveal()), []byte(secrets["admin_private_key"].Reveal()))
	if err != nil {
		return nil, fmt.Errorf("read the administrator's certificate: %w", err)
	}
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.Host, config.Port, config.User, config.Database = row.Nodes[0].Address, 5432, "holdfast", "app"
	config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true} // a bench on this machine
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("log in as the administrator: %w", err)
	}
	return &baseline{conn}, nil
}

func (b *baseline) close() { b.conn.Close(context.Background()) }

// bind runs the statements of a bind in one transaction, as the provider does,
// and takes the role away again, untimed.
func (b *baseline) bind(ctx context.Context, id string) (time.Duration, error) {
	role := "raw_" + id
	const verifier = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	script := fmt.Sprintf(`CREATE ROLE %[1]s LOGIN INHERIT CONNECTION LIMIT -1 PASSWORD '%[2]s' IN ROLE app_owner;
GRANT %[1]s TO CURRENT_USER;
COMMENT ON ROLE %[1]s IS 'bench';
ALTER ROLE %[1]s IN DATABASE app SET role = 'app_owner';
ALTER DEFAULT PRIVILEGES FOR ROLE %[1]s GRANT SELECT ON TABLES TO app_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE %[1]s GRANT SELECT ON SEQUENCES TO app_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE %[1]s GRANT USAGE ON SCHEMAS TO app_reader`, role, verifier)
	begin := time.Now()
	if _, err := b.conn.PgConn().Exec(ctx, script).ReadAll(); err != nil {
		return 0, fmt.Errorf("bind by hand: %w", err)
	}
	took := time.Since(begin)
	_, err := b.conn.PgConn().Exec(ctx, fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role)).ReadAll()
	return took, err
}
