-- post-start runs this in the database postgres: roles and rights of the server.
SET client_min_messages = warning;
BEGIN;

-- The admin is no superuser. Note that PostgreSQL 15's CREATEROLE may hand out
-- membership in every role that is not a superuser: treat its key accordingly.
SELECT format('CREATE ROLE %I', :'admin') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'admin') \gexec
ALTER ROLE :"admin" LOGIN NOSUPERUSER CREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL;
GRANT pg_signal_backend, pg_monitor, pg_checkpoint TO :"admin";

-- The node's own check.
SELECT 'CREATE ROLE holdfast_health' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast_health') \gexec
ALTER ROLE holdfast_health LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD NULL CONNECTION LIMIT 3;
CREATE SCHEMA IF NOT EXISTS holdfast;
CREATE TABLE IF NOT EXISTS holdfast.health (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  token uuid,
  checked_at timestamptz
);
INSERT INTO holdfast.health DEFAULT VALUES ON CONFLICT DO NOTHING;
GRANT USAGE ON SCHEMA holdfast TO holdfast_health;
GRANT SELECT, UPDATE ON holdfast.health TO holdfast_health;

-- Tenants have no business in our databases.
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO :"admin", holdfast_health;

COMMIT;
