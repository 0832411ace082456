package boshrelease_test

import (
	"strings"
	"testing"
)

// TestAccess has one running server; its subtests look at it from all sides.
func TestAccess(t *testing.T) {
	s := newServer(t, nil)
	s.up()
	s.makeTenant()
	t.Run("logins", s.testLogins)
	t.Run("the admin can do what a service provider needs", s.testAdminRights)
	t.Run("tenants stay in their database", s.testTenantRights)
	t.Run("all members of the owner role share what they make", s.testOwnership)
	t.Run("a dump can be restored", s.testDump)
	t.Run("settings", s.testSettings)
	t.Run("no secret reaches the log", s.testLogHasNoSecrets)
	t.Run("extensions", s.testExtensions)
	t.Run("a repeated deployment changes nothing", s.testRepeat)
	t.Run("a database's own defaults disturb nobody", s.testHostileDefaults)
}

func (s *server) testLogins(t *testing.T) {
	const password = "password authentication failed"
	for name, c := range map[string]struct{ conninfo, fault string }{
		"admin with its certificate":          {as("holdfast", "admin", "postgres"), ""},
		"admin in a tenant's database":        {as("holdfast", "admin", "tenant_1"), ""},
		"admin without a certificate":         {hostKeys + " user=holdfast dbname=postgres", "requires a valid client certificate"},
		"admin with a password":               {with("holdfast", "correct", "postgres"), "requires a valid client certificate"},
		"admin with another's certificate":    {as("holdfast", "other", "postgres"), "certificate authentication failed"},
		"admin with a stranger CA's":          {as("holdfast", "stranger", "postgres"), "unknown ca"},
		"bootstrap superuser on the network":  {as("postgres", "admin", "postgres"), "pg_hba.conf rejects connection"},
		"health role without its certificate": {as("holdfast_health", "admin", "postgres"), "certificate authentication failed"},
		"tenant":                              {with("app_1", "correct", "tenant_1"), ""},
		"tenant with a wrong password":        {with("app_1", "wrong", "tenant_1"), password},
		"tenant without a password":           {hostKeys + " user=app_1 dbname=tenant_1", "no password supplied"},
		"tenant with the admin's certificate": {as("app_1", "admin", "tenant_1"), "no password supplied"},
		"owner role":                          {with("owner_1", "correct", "tenant_1"), password},
		"unknown role":                        {with("nobody", "correct", "tenant_1"), password},
		"tenant in the admin database":        {with("app_1", "correct", "postgres"), "permission denied for database"},
		"tenant in template1":                 {with("app_1", "correct", "template1"), "permission denied for database"},
		"without TLS":                         {"host=127.0.0.1 sslmode=disable user=app_1 password=correct dbname=tenant_1", "no encryption"},
		"admin without TLS":                   {"host=127.0.0.1 sslmode=disable user=holdfast dbname=postgres", "no encryption"},
		"TLS 1.1":                             {with("app_1", "correct", "tenant_1") + " ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.1", "SSL error"},
		"server of another CA":                {"host=127.0.0.1 sslmode=verify-ca sslrootcert=/certs/stranger_ca.crt user=app_1 password=correct dbname=tenant_1", "certificate verify failed"},
		"server by a name it does not have":   {"host=localhost hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=/certs/server_ca.crt user=app_1 password=correct dbname=tenant_1", "does not match host name"},
		"replication":                         {with("app_1", "correct", "tenant_1") + " replication=true", "no pg_hba.conf entry"},
		"root on the socket as superuser":     {"host=/var/vcap/sys/run/postgresql user=postgres dbname=postgres", ""},
		"root on the socket as somebody else": {"host=/var/vcap/sys/run/postgresql user=holdfast dbname=postgres", "pg_hba.conf rejects connection"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := s.psql(c.conninfo, "SELECT 1")
			switch {
			case c.fault == "" && (err != nil || out != "1"):
				t.Errorf("got %q, %v, want a login", out, err)
			case c.fault != "" && (err == nil || !strings.Contains(out, c.fault)):
				t.Errorf("got %q, %v, want %q", out, err, c.fault)
			}
		})
	}
	for _, user := range []string{"nobody", "daemon"} {
		if out, err := s.run("setpriv --reuid " + user + " --clear-groups /var/vcap/packages/postgresql-15/bin/psql -h /var/vcap/sys/run/postgresql -U postgres -c 'SELECT 1'"); err == nil {
			t.Errorf("user %s got in by the socket: %s", user, out)
		}
	}
}

// testAdminRights goes through a binding's life, leftovers included.
func (s *server) testAdminRights(t *testing.T) {
	appTwo := with("app_2", "pw", "tenant_1")
	for _, step := range []struct{ conninfo, sql string }{
		{"", "GRANT CONNECT ON DATABASE tenant_1 TO holdfast"},
		{"", "CREATE ROLE app_2 LOGIN PASSWORD 'SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$N65fdwHpEjlnOcpMs1anXJKEuHs0gbUqXdVRzbQPyj8=:RF/S9cqNU8r3xLFUoTXGqDpNRgXHrFQnXSO8V9yzyxU='"},
		{"", "ALTER ROLE app_2 PASSWORD 'pw' CONNECTION LIMIT 5 VALID UNTIL 'infinity'"},
		{"", "GRANT owner_1 TO app_2"},
		{"", "GRANT app_2 TO holdfast"},
		{"", "ALTER ROLE app_2 SET role = 'owner_1'"},
		{appTwo, "CREATE TABLE shared (id int)"},
		{appTwo, "SET ROLE NONE; CREATE SCHEMA stray; CREATE TABLE stray.t (id int)"},
		{"", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app_2'"},
		{"", "ALTER ROLE app_2 NOLOGIN"},
		{as("holdfast", "admin", "tenant_1"), "ALTER DEFAULT PRIVILEGES FOR ROLE app_2 GRANT ALL ON TABLES TO owner_1"},
		{as("holdfast", "admin", "tenant_1"), "REASSIGN OWNED BY app_2 TO owner_1; DROP OWNED BY app_2; DROP ROLE app_2"},
		{with("app_1", "correct", "tenant_1"), "DROP TABLE stray.t; DROP SCHEMA stray; DROP TABLE shared"},
		{"", "CREATE DATABASE tenant_2 OWNER owner_1"},
		{"", "DROP DATABASE tenant_2 WITH (FORCE)"},
		{"", "CHECKPOINT"},
		{"", "SELECT sum(size) FROM pg_ls_waldir()"},
	} {
		if step.conninfo == "" {
			step.conninfo = as("holdfast", "admin", "postgres")
		}
		if out, err := s.psql(step.conninfo, step.sql); err != nil {
			t.Errorf("%s: %s", step.sql, out)
		}
	}
	if got := s.admin("SELECT rolsuper FROM pg_roles WHERE rolname = 'holdfast'"); got != "f" {
		t.Errorf("the admin is superuser: %s", got)
	}
	if out, err := s.psql(as("holdfast", "admin", "postgres"), "ALTER ROLE holdfast SUPERUSER"); err == nil {
		t.Errorf("the admin made itself superuser: %s", out)
	}
}

func (s *server) testTenantRights(t *testing.T) {
	app := with("app_1", "correct", "tenant_1")
	for _, sql := range []string{
		"COPY (SELECT 1) TO PROGRAM 'id'",
		"CREATE TEMP TABLE t (line text); COPY t FROM '/etc/passwd'",
		"SELECT pg_read_file('/etc/passwd')",
		"SELECT pg_read_file('postgresql.auto.conf')",
		"SELECT pg_ls_dir('.')",
		"SELECT lo_import('/etc/passwd')",
		"SELECT * FROM pg_authid",
		"SELECT * FROM pg_hba_file_rules",
		"CREATE ROLE intruder",
		"CREATE DATABASE intruder",
		"ALTER ROLE app_1 CREATEDB",
		"ALTER ROLE owner_1 LOGIN",
		"GRANT holdfast TO app_1",
		"GRANT pg_execute_server_program TO app_1",
		"SET ROLE holdfast",
		"SET SESSION AUTHORIZATION holdfast",
		"SET session_replication_role = replica",
		"SET log_statement = 'all'",
		"SET temp_file_limit = -1",
		"ALTER SYSTEM SET ssl = off",
		"ALTER DATABASE tenant_1 SET log_statement = 'all'",
		"LOAD 'auto_explain'",
		"CREATE LANGUAGE c",
		"CREATE FUNCTION f() RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'getpid'",
		"CREATE EXTENSION file_fdw",
		"CREATE EXTENSION adminpack",
		"CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()",
		"CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1' PUBLICATION p",
		"SELECT pg_create_physical_replication_slot('s')",
		"SELECT pg_reload_conf()",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IS DISTINCT FROM current_user",
		"BEGIN; PREPARE TRANSACTION 'stuck'",
	} {
		if out, err := s.psql(app, sql); err == nil {
			t.Errorf("a tenant may: %s: %s", sql, out)
		}
	}
	if out, err := s.psql(app, "CREATE TABLE mine (id int); INSERT INTO mine VALUES (1); SELECT * FROM mine; DROP TABLE mine"); err != nil || out != "1" {
		t.Errorf("got %q, %v", out, err)
	}
}

func (s *server) testSettings(t *testing.T) {
	for name, want := range map[string]string{
		"data_checksums": "on", "fsync": "on", "full_page_writes": "on", "ssl": "on", "ssl_min_protocol_version": "TLSv1.2",
		"password_encryption": "scram-sha-256", "superuser_reserved_connections": "5", "shared_buffers": "64MB", "max_connections": "32",
		"log_statement": "none", "log_min_error_statement": "panic", "log_parameter_max_length": "0", "jit": "off",
		"lc_collate": "C", "lc_ctype": "C.UTF-8", "server_encoding": "UTF8", "wal_level": "replica", "TimeZone": "UTC",
	} {
		if got := s.admin("SHOW " + name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := s.admin("SELECT upper('straße äé')"); got != "STRASSE ÄÉ" && got != "STRAßE ÄÉ" {
		t.Errorf("upper: got %s", got)
	}
	server := s.do("cat /proc/" + s.postmaster() + "/oom_score_adj")
	children := s.do("for p in /proc/[0-9]*; do grep -qsa '^postgres: walwriter' $p/cmdline && cat $p/oom_score_adj; done; true")
	if (server != "-900" && server != "0") || children != "200" {
		t.Errorf("oom_score_adj: server %s, its children %s; want the children to go first", server, children)
	}
}

// testLogHasNoSecrets makes statements fail that hold a secret, in ways that
// put statement, parameters, context or detail into an error.
func (s *server) testLogHasNoSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	app := with("app_1", "correct", "tenant_1")
	for _, c := range []struct{ conninfo, sql string }{
		{as("holdfast", "admin", "postgres"), "CREATE ROLE app_1 PASSWORD '" + secret + "'"},
		{as("holdfast", "admin", "postgres"), "ALTER ROLE missing PASSWORD 'SCRAM-SHA-256$4096:" + secret + "'"},
		{as("holdfast", "admin", "postgres"), "DO $$ BEGIN EXECUTE 'CREATE ROLE app_1 PASSWORD ''" + secret + "'''; END $$"},
		{app, "CREATE TEMP TABLE t (v text PRIMARY KEY); INSERT INTO t VALUES ('" + secret + "'), ('" + secret + "')"},
		{app, "SET statement_timeout = 100; SELECT pg_sleep(5), '" + secret + "'"},
		{app, "PREPARE p(text) AS SELECT 1 / (length($1) - length($1)); EXECUTE p('" + secret + "')"},
		{with("app_1", secret, "tenant_1"), "SELECT 1"},
	} {
		if out, err := s.psql(c.conninfo, c.sql); err == nil {
			t.Errorf("%s did not fail: %s", c.sql, out)
		}
	}
	log := s.do("cat /var/vcap/sys/log/postgresql/*")
	if !strings.Contains(log, `role "missing" does not exist`) || !strings.Contains(log, "password authentication failed") {
		t.Errorf("the faults themselves are missing from the log:\n%s", log)
	}
	if strings.Contains(log, secret) {
		t.Errorf("the secret is in the log:\n%s", log)
	}
}

// testExtensions loads each module of contrib once, so that no shared library is missing.
func (s *server) testExtensions(t *testing.T) {
	superuser := "host=/var/vcap/sys/run/postgresql user=postgres dbname=tenant_1"
	out, err := s.psql(superuser, `DO $$ DECLARE name text; BEGIN
		FOR name IN SELECT e.name FROM pg_available_extensions e LOOP EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', name); END LOOP;
	END $$`, "SELECT count(*) FROM pg_extension")
	if err != nil {
		t.Fatal(out)
	}
	t.Logf("%s extensions", out)
	app := with("app_1", "correct", "tenant_1")
	if out, err := s.psql(app, "SELECT 'ä' < 'b' COLLATE \"de-x-icu\", xpath('/a/text()', '<a>1</a>'), length(uuid_generate_v4()::text)"); err != nil || out != "t|{1}|36" {
		t.Errorf("ICU, XML, UUID: got %q, %v", out, err)
	}
}

func (s *server) testRepeat(t *testing.T) {
	before := s.postmaster() + s.admin("SELECT system_identifier FROM pg_control_system()")
	s.do(s.script("pre-start"))
	s.do(s.script("start"))
	s.do(s.script("post-start"))
	if after := s.postmaster() + s.admin("SELECT system_identifier FROM pg_control_system()"); after != before {
		t.Errorf("server and system identifier: got %s, want %s", after, before)
	}
}

// testHostileDefaults: the owner of a database may set defaults for all of its
// sessions and put functions in the way. Neither post-start nor an admin that
// fixes its own defaults is disturbed.
func (s *server) testHostileDefaults(t *testing.T) {
	app := with("app_1", "correct", "tenant_1")
	for _, sql := range []string{
		"ALTER DATABASE tenant_1 SET role = 'owner_1'",
		"ALTER DATABASE tenant_1 SET default_transaction_read_only = on",
		"ALTER DATABASE tenant_1 SET statement_timeout = 1",
		"ALTER DATABASE tenant_1 SET search_path = evil, pg_catalog",
		"CREATE SCHEMA evil",
		"CREATE FUNCTION evil.format(text, name, name) RETURNS text LANGUAGE sql AS $$ SELECT 'ALTER ROLE app_1 SUPERUSER' $$",
		"CREATE FUNCTION evil.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
	} {
		if out, err := s.psql(app+" options='-c default_transaction_read_only=off -c statement_timeout=0'", sql); err != nil {
			t.Fatalf("%s: %s", sql, out)
		}
	}
	s.do(s.script("post-start"))
	admin := as("holdfast", "admin", "tenant_1")
	if out, err := s.psql(admin, "CREATE ROLE app_9"); err == nil {
		t.Errorf("the defaults have no effect at all: %s", out)
	}
	const pinned = " options='-c role=none -c default_transaction_read_only=off -c statement_timeout=10s -c search_path=pg_catalog'"
	if out, err := s.psql(admin+pinned, "CREATE ROLE app_9", "ALTER DATABASE tenant_1 RESET ALL"); err != nil {
		t.Error(out)
	}
	if out, err := s.psql(app, "SET ROLE NONE", "CREATE TABLE evil.t (id int)"); err != nil {
		t.Error(out)
	}
	if got := s.admin("SELECT count(*) FROM pg_roles WHERE rolsuper"); got != "1" {
		t.Errorf("got %s superusers", got)
	}
}
