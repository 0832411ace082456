package boshrelease_test

import (
	"strings"
	"testing"
)

// testOwnership: whatever a login role creates, also after its session was
// reset as pools do, belongs to the database's owner and can be dropped by others.
func (s *server) testOwnership(t *testing.T) {
	s.admin("CREATE ROLE app_3 LOGIN PASSWORD 'correct' IN ROLE owner_1")
	app, other := with("app_1", "correct", "tenant_1"), with("app_3", "correct", "tenant_1")
	const table = "SELECT relowner::regrole FROM pg_class WHERE relname = 'o'"
	for name, c := range map[string]struct{ create, owner, drop string }{
		"table":       {"CREATE TABLE o (id serial PRIMARY KEY)", table, "DROP TABLE o"},
		"table as":    {"CREATE TABLE o AS SELECT 1 AS x", table, "DROP TABLE o"},
		"select into": {"SELECT 1 AS x INTO o", table, "DROP TABLE o"},
		"view":        {"CREATE VIEW o AS SELECT 1", table, "DROP VIEW o"},
		"sequence":    {"CREATE SEQUENCE o", table, "DROP SEQUENCE o"},
		"function":    {"CREATE FUNCTION o() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT proowner::regrole FROM pg_proc WHERE proname = 'o'", "DROP FUNCTION o()"},
		"schema":      {"CREATE SCHEMA o CREATE TABLE t (id int)", "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'o'", "DROP SCHEMA o CASCADE"},
		"type":        {"CREATE TYPE o AS ENUM ('a')", "SELECT typowner::regrole FROM pg_type WHERE typname = 'o'", "DROP TYPE o"},
		"extension":   {"CREATE EXTENSION hstore", "SELECT extowner::regrole FROM pg_extension WHERE extname = 'hstore'", "DROP EXTENSION hstore"},
		"block":       {"DO $$ BEGIN CREATE TABLE o (id int); INSERT INTO o VALUES (1); END $$", table, "DROP TABLE o"},
	} {
		for _, reset := range []string{"SELECT 1", "SET ROLE NONE", "DISCARD ALL", "SET SESSION AUTHORIZATION DEFAULT"} {
			if out, err := s.psql(app, reset, c.create); err != nil {
				t.Errorf("%s after %s: %s", name, reset, out)
				continue
			}
			if owner, err := s.psql(app, c.owner); err != nil || owner != "owner_1" {
				t.Errorf("%s after %s: owner %q, %v", name, reset, owner, err)
			}
			if out, err := s.psql(other, "DISCARD ALL", "SET ROLE NONE", c.drop); err != nil {
				t.Errorf("%s after %s: another member cannot drop it: %s", name, reset, out)
			}
		}
	}
	if out, err := s.psql(app, "SET ROLE NONE", "CREATE TEMP TABLE o (id int)", "INSERT INTO o VALUES (1)", "SELECT count(*) FROM o"); err != nil || !strings.HasSuffix(out, "1") {
		t.Errorf("temporary table: %q, %v", out, err)
	}
	for _, sql := range []string{"SELECT pg_catalog.holdfast_give_to_owner()", "DROP EVENT TRIGGER holdfast_owner",
		"ALTER EVENT TRIGGER holdfast_owner DISABLE", "DROP FUNCTION pg_catalog.holdfast_give_to_owner() CASCADE", "DROP EXTENSION plpgsql CASCADE"} {
		if out, err := s.psql(app, sql); err == nil {
			t.Errorf("a tenant may: %s: %s", sql, out)
		}
	}
	// A role that is no member keeps what is its own.
	s.admin("CREATE ROLE reader LOGIN PASSWORD 'correct'")
	s.admin("GRANT CONNECT, TEMPORARY ON DATABASE tenant_1 TO reader")
	if out, err := s.psql(with("reader", "correct", "tenant_1"), "CREATE TEMP TABLE o (id int)", "SELECT relowner::regrole FROM pg_class WHERE relname = 'o'"); err != nil || out != "reader" {
		t.Errorf("table of a role that is no member: owner %q, %v", out, err)
	}
}

// testDump: what a tenant dumps, it can restore without an error, into another
// instance's database as here into a second one.
func (s *server) testDump(t *testing.T) {
	s.admin("CREATE DATABASE tenant_3 OWNER owner_1")
	if out, err := s.psql(with("app_1", "correct", "tenant_1"), "CREATE TABLE d AS SELECT generate_series(1, 100) AS id", "CREATE INDEX ON d (id)"); err != nil {
		t.Fatal(out)
	}
	const bin = "/var/vcap/packages/postgresql-15/bin/"
	s.do("set -o pipefail; " + bin + "pg_dump '" + with("app_1", "correct", "tenant_1") + "' | " +
		bin + "psql -Xq -v ON_ERROR_STOP=1 '" + with("app_1", "correct", "tenant_3") + "'")
	if got, err := s.psql(with("app_3", "correct", "tenant_3"), "SELECT count(*) FROM d"); err != nil || got != "100" {
		t.Errorf("got %q rows, %v", got, err)
	}
	if got, err := s.psql(with("app_3", "correct", "tenant_3"), "SELECT evtname FROM pg_event_trigger"); err != nil || got != "holdfast_owner" {
		t.Errorf("event trigger of a new database: got %q, %v", got, err)
	}
}
