-- Run once by the image of PostgreSQL, as its superuser, on an empty volume: the service's role, which is none itself, and
-- the database that it owns.
\getenv password DATABASE_PASSWORD
CREATE ROLE ett LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE ett OWNER ett;
REVOKE ALL ON DATABASE ett FROM PUBLIC;
