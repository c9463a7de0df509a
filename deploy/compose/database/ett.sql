-- Creates the role of the service, which is no superuser, and the database that it owns. The PostgreSQL image runs this
-- script once, as its superuser, on an empty volume.
\getenv password DATABASE_PASSWORD
CREATE ROLE ett LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE ett OWNER ett;
REVOKE ALL ON DATABASE ett FROM PUBLIC;
