-- The role tracking_service, which serves but can't alter, truncate or own a table. Run this once on the service's database,
-- as its owner ett, after the first `migrate` (docs/operations.md, "Two database roles"). Create the role before, as a
-- superuser:
--   CREATE ROLE tracking_service LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '...';
--   GRANT CONNECT ON DATABASE ett TO tracking_service;
BEGIN;
GRANT USAGE ON SCHEMA public TO tracking_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO tracking_service;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO tracking_service;
-- Tables that later migrations create
ALTER DEFAULT PRIVILEGES FOR ROLE ett IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tracking_service;
ALTER DEFAULT PRIVILEGES FOR ROLE ett IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO tracking_service;
-- The schema's revision is the owner's, and users, projects, timesheets and audit events are never deleted.
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM tracking_service;
REVOKE DELETE ON "user", project, timesheet, audit_chain FROM tracking_service;
REVOKE INSERT, DELETE ON global_lock, payroll_lock FROM tracking_service;
REVOKE UPDATE, DELETE ON audit_event FROM tracking_service;
-- `erase-user` erases the personal values of audit events.
GRANT UPDATE (personal) ON audit_event TO tracking_service;
COMMIT;
