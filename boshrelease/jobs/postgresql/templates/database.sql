-- post-start runs this in template1 and in all databases made from it.
--
-- Connection pools reset sessions with DISCARD ALL, which undoes the role that a
-- login role acts as. What it creates then would be its own, unusable for the
-- database's other login roles, so it is given to the database's owner at once.
SET client_min_messages = warning;
BEGIN;

CREATE OR REPLACE FUNCTION pg_catalog.holdfast_give_to_owner() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  login pg_roles%ROWTYPE;
  owner pg_database%ROWTYPE;
BEGIN
  SELECT * INTO STRICT login FROM pg_roles WHERE rolname = session_user;
  SELECT * INTO STRICT owner FROM pg_database WHERE datname = current_database();
  IF login.oid = owner.datdba OR login.rolsuper OR login.rolcreaterole
    OR NOT pg_has_role(login.oid, owner.datdba, 'MEMBER') THEN
    RETURN;
  END IF;
  -- Without this the event of REASSIGN itself would call for another.
  PERFORM FROM pg_shdepend
    WHERE dbid = owner.oid AND refclassid = 'pg_authid'::regclass AND refobjid = login.oid AND deptype = 'o';
  IF FOUND THEN
    EXECUTE format('REASSIGN OWNED BY %I TO %I', login.rolname, pg_get_userbyid(owner.datdba));
  END IF;
END
$$;
REVOKE ALL ON FUNCTION pg_catalog.holdfast_give_to_owner() FROM PUBLIC;

SELECT 'CREATE EVENT TRIGGER holdfast_owner ON ddl_command_end EXECUTE FUNCTION pg_catalog.holdfast_give_to_owner()'
WHERE NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'holdfast_owner') \gexec

-- Members of an extension are not in dumps: what a tenant dumps can be restored
-- anywhere, also by those who may not create event triggers.
SELECT 'ALTER EXTENSION plpgsql ADD ' || object
FROM (VALUES
  ('pg_proc'::regclass, 'pg_catalog.holdfast_give_to_owner'::regproc::oid, 'FUNCTION pg_catalog.holdfast_give_to_owner()'),
  ('pg_event_trigger', (SELECT oid FROM pg_event_trigger WHERE evtname = 'holdfast_owner'), 'EVENT TRIGGER holdfast_owner')
) AS ours (class, id, object)
WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype = 'e') \gexec

COMMIT;
