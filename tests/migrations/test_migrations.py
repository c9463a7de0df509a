"""The schema at head, and migrations that run concurrently, are blocked or are interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from datetime import date
from typing import Any
from unittest.mock import patch

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import main as alembic_command_line
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError

from app.core.database.migrations import ROOT, SchemaState, UnknownSchema, detect_schema_state, migrate
from app.core.database.session import Database
from app.models.metadata import all_tables
from app.services.access.locks import lock_user_rules
from tests.support.databases import POSTGRESQL, SECRET_KEY, SQLITE, settings_for
from tests.support.migrations import connect_for_writing, run_alembic
from tests.support.timesheets import submit_month

BEFORE_TIMESHEETS = "2026_12_01_flagged_entries"
SQLITE_OBJECTS = """
    SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
    ORDER BY tbl_name, type <> 'table', name
"""
POSTGRESQL_COLUMNS = """
    SELECT relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
        || CASE WHEN attcollation = 'pg_catalog."C"'::regcollation THEN ' collate C' ELSE '' END
        || CASE WHEN attnotnull THEN ' not null' ELSE '' END
        || COALESCE(' default ' || pg_get_expr(adbin, adrelid), '')
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'S') AND attnum > 0
    ORDER BY relname, attnum
"""
POSTGRESQL_OBJECTS = r"""
    SELECT relname || ': ' || conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT pg_get_triggerdef(oid) || CASE tgenabled WHEN 'O' THEN '' ELSE ' (disabled)' END
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT proname || '() ' || regexp_replace(btrim(prosrc, E' \n'), '\s+', ' ', 'g')
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""
AT_HEAD = {
    SQLITE: """
CREATE TABLE alembic_version (
version_num VARCHAR(32) NOT NULL,
CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
CREATE TABLE api_token (
id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
user_id INTEGER NOT NULL,
name VARCHAR(100) NOT NULL,
scopes VARCHAR(200) NOT NULL,
token_hash VARCHAR(64) NOT NULL,
created_at BIGINT NOT NULL,
expires_at BIGINT NOT NULL,
last_used_at BIGINT,
CONSTRAINT fk_api_token_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE INDEX ix_api_token_user_id ON api_token (user_id)
CREATE UNIQUE INDEX uq_api_token_token_hash ON api_token (token_hash)
CREATE TABLE audit_chain (
chain_id INTEGER NOT NULL,
length BIGINT NOT NULL,
last_link VARCHAR(64) NOT NULL,
PRIMARY KEY (chain_id)
)
CREATE TRIGGER audit_chain_only_grows_DELETE BEFORE DELETE ON audit_chain
BEGIN SELECT RAISE(ABORT, 'audit_chain_only_grows'); END
CREATE TRIGGER audit_chain_only_grows_INSERT BEFORE INSERT ON audit_chain
WHEN EXISTS (SELECT 1 FROM audit_chain WHERE chain_id = NEW.chain_id)
BEGIN SELECT RAISE(ABORT, 'audit_chain_only_grows'); END
CREATE TRIGGER audit_chain_only_grows_UPDATE BEFORE UPDATE ON audit_chain
WHEN NOT (NEW.chain_id = OLD.chain_id AND NEW.length = OLD.length + 1)
BEGIN SELECT RAISE(ABORT, 'audit_chain_only_grows'); END
CREATE TABLE "audit_event" (
chain_id INTEGER NOT NULL,
position BIGINT NOT NULL,
at BIGINT NOT NULL,
action VARCHAR(64) NOT NULL,
actor_id INTEGER,
object_type VARCHAR(32) NOT NULL,
object_id INTEGER,
"before" TEXT,
"after" TEXT,
reason VARCHAR(80),
personal TEXT,
request_id VARCHAR(64) NOT NULL,
key_id VARCHAR(16) NOT NULL,
link VARCHAR(64) NOT NULL,
CONSTRAINT pk_audit_event PRIMARY KEY (chain_id, position)
)
WITHOUT ROWID

CREATE TRIGGER audit_event_append_only_DELETE BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END
CREATE TRIGGER audit_event_append_only_INSERT BEFORE INSERT ON audit_event
WHEN EXISTS (SELECT 1 FROM audit_event WHERE chain_id = NEW.chain_id AND position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END
CREATE TRIGGER audit_event_append_only_UPDATE BEFORE UPDATE ON audit_event
WHEN NOT (
NEW.personal IS NULL
AND (NEW.chain_id, NEW.position, NEW.at, NEW.action, NEW.actor_id, NEW.object_type, NEW.object_id, NEW.before,
NEW.after, NEW.reason, NEW.request_id, NEW.key_id, NEW.link)
IS (OLD.chain_id, OLD.position, OLD.at, OLD.action, OLD.actor_id, OLD.object_type, OLD.object_id, OLD.before,
OLD.after, OLD.reason, OLD.request_id, OLD.key_id, OLD.link)
AND EXISTS (
SELECT 1 FROM audit_chain JOIN audit_event ON position = length AND audit_event.chain_id = audit_chain.chain_id
WHERE audit_chain.chain_id = OLD.chain_id AND action = 'user:erase'
)
)
BEGIN SELECT RAISE(ABORT, 'audit_event_is_append_only'); END
CREATE TRIGGER audit_event_extends_its_chain AFTER INSERT ON audit_event
BEGIN
INSERT INTO audit_chain (chain_id, length, last_link)
SELECT NEW.chain_id, 0, ''
WHERE NEW.position = 1 AND NOT EXISTS (SELECT 1 FROM audit_chain WHERE chain_id = NEW.chain_id);
UPDATE audit_chain SET length = NEW.position, last_link = NEW.link
WHERE chain_id = NEW.chain_id AND length = NEW.position - 1;
SELECT RAISE(ABORT, 'audit_event_extends_its_chain') WHERE changes() = 0;
END
CREATE INDEX ix_audit_event_at ON audit_event (at, chain_id, position)
CREATE INDEX ix_audit_event_by_another ON audit_event (actor_id, at) WHERE actor_id <> chain_id
CREATE INDEX ix_audit_event_object ON audit_event (object_type, object_id)
CREATE TABLE failed_login (
id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
account VARCHAR(64) NOT NULL,
address VARCHAR(49) NOT NULL,
at BIGINT NOT NULL
)
CREATE INDEX ix_failed_login_account_at ON failed_login (account, at)
CREATE INDEX ix_failed_login_address_at ON failed_login (address, at)
CREATE INDEX ix_failed_login_at ON failed_login (at)
CREATE TABLE global_lock (
name VARCHAR(32) NOT NULL,
PRIMARY KEY (name)
)
CREATE TABLE idempotency_key (
user_id INTEGER NOT NULL,
"key" VARCHAR(255) NOT NULL,
fingerprint VARCHAR(64) NOT NULL,
answer TEXT NOT NULL,
created_at BIGINT NOT NULL,
PRIMARY KEY (user_id, "key")
)
CREATE INDEX ix_idempotency_key_created_at ON idempotency_key (created_at)
CREATE TABLE known_address (
user_id INTEGER NOT NULL,
address VARCHAR(49) NOT NULL,
last_login_at BIGINT NOT NULL,
PRIMARY KEY (user_id, address),
CONSTRAINT fk_known_address_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE TABLE login_session (
id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
user_id INTEGER NOT NULL,
refresh_hash VARCHAR(64) NOT NULL,
spent_hash VARCHAR(64),
refreshed_at BIGINT NOT NULL,
device VARCHAR(200) NOT NULL,
address VARCHAR(45) NOT NULL,
created_at BIGINT NOT NULL,
last_used_at BIGINT NOT NULL,
expires_at BIGINT NOT NULL,
CONSTRAINT fk_login_session_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE INDEX ix_login_session_expires_at ON login_session (expires_at)
CREATE INDEX ix_login_session_user_id ON login_session (user_id)
CREATE TABLE password_link (
user_id INTEGER NOT NULL,
token_hash VARCHAR(64) NOT NULL,
created_at BIGINT NOT NULL,
expires_at BIGINT NOT NULL,
PRIMARY KEY (user_id),
CONSTRAINT fk_password_link_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE UNIQUE INDEX uq_password_link_token_hash ON password_link (token_hash)
CREATE TABLE payroll_lock (
name VARCHAR(16) NOT NULL,
before_day DATE,
version INTEGER NOT NULL,
changed_at BIGINT,
changed_by INTEGER,
PRIMARY KEY (name),
CONSTRAINT fk_payroll_lock_changed_by_user FOREIGN KEY(changed_by) REFERENCES user (id)
)
CREATE TABLE project (
id INTEGER NOT NULL,
name VARCHAR(200) NOT NULL,
name_key VARCHAR(400) NOT NULL,
is_active BOOLEAN NOT NULL,
created_at BIGINT NOT NULL, code VARCHAR(50),
PRIMARY KEY (id)
)
CREATE UNIQUE INDEX uq_project_code ON project (code)
CREATE UNIQUE INDEX uq_project_name_key ON project (name_key)
CREATE TABLE project_member (
project_id INTEGER NOT NULL,
user_id INTEGER NOT NULL,
PRIMARY KEY (project_id, user_id),
CONSTRAINT fk_project_member_project_id_project FOREIGN KEY(project_id) REFERENCES project (id),
CONSTRAINT fk_project_member_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE INDEX ix_project_member_user_id ON project_member (user_id)
CREATE TABLE recovery_code (
user_id INTEGER NOT NULL,
code_hash VARCHAR(64) NOT NULL,
PRIMARY KEY (user_id, code_hash),
CONSTRAINT fk_recovery_code_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE TABLE refused_login (
chain_id INTEGER NOT NULL,
due_at BIGINT NOT NULL,
first_at BIGINT,
last_at BIGINT,
wrong_passwords BIGINT NOT NULL,
missing_codes BIGINT NOT NULL,
rejected_codes BIGINT NOT NULL,
over_limit BIGINT NOT NULL,
PRIMARY KEY (chain_id)
)
CREATE INDEX ix_refused_login_due_at ON refused_login (due_at)
CREATE TABLE reminder (
user_id INTEGER NOT NULL,
day DATE NOT NULL,
PRIMARY KEY (user_id),
CONSTRAINT fk_reminder_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE TABLE second_factor (
user_id INTEGER NOT NULL,
secret VARCHAR(200) NOT NULL,
created_at BIGINT NOT NULL,
confirmed_at BIGINT,
last_step BIGINT NOT NULL, wrong_codes INTEGER DEFAULT 0 NOT NULL,
PRIMARY KEY (user_id),
CONSTRAINT fk_second_factor_user_id_user FOREIGN KEY(user_id) REFERENCES user (id)
)
CREATE TABLE time_entry (
id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
user_id INTEGER NOT NULL,
project_id INTEGER NOT NULL,
start_time BIGINT NOT NULL,
end_time BIGINT,
description VARCHAR(2000) NOT NULL,
time_zone VARCHAR(64) NOT NULL,
needs_review BOOLEAN NOT NULL,
version INTEGER NOT NULL,
created_at BIGINT NOT NULL,
updated_at BIGINT NOT NULL, timesheet_id INTEGER CONSTRAINT fk_time_entry_timesheet_id_timesheet REFERENCES timesheet (id),
CONSTRAINT ck_time_entry_ends_after_start CHECK (end_time >= start_time),
CONSTRAINT fk_time_entry_user_id_user FOREIGN KEY(user_id) REFERENCES user (id),
CONSTRAINT fk_time_entry_project_id_project FOREIGN KEY(project_id) REFERENCES project (id)
)
CREATE INDEX ix_time_entry_needs_review ON time_entry (start_time) WHERE needs_review = 1
CREATE INDEX ix_time_entry_project_id ON time_entry (project_id)
CREATE INDEX ix_time_entry_start_time ON time_entry (start_time, id)
CREATE INDEX ix_time_entry_user_id_start_time ON time_entry (user_id, start_time)
CREATE TRIGGER time_entry_locked_delete BEFORE delete ON time_entry WHEN OLD.timesheet_id IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'ck_time_entry_locked'); END
CREATE TRIGGER time_entry_locked_update BEFORE update ON time_entry WHEN OLD.timesheet_id IS NOT NULL AND (NEW.timesheet_id IS NOT NULL OR (OLD.id, OLD.user_id, OLD.project_id, OLD.start_time, OLD.end_time, OLD.description, OLD.time_zone, OLD.needs_review, OLD.version, OLD.created_at, OLD.updated_at) IS NOT (NEW.id, NEW.user_id, NEW.project_id, NEW.start_time, NEW.end_time, NEW.description, NEW.time_zone, NEW.needs_review, NEW.version, NEW.created_at, NEW.updated_at))
BEGIN SELECT RAISE(ABORT, 'ck_time_entry_locked'); END
CREATE TRIGGER time_entry_no_overlap_insert BEFORE INSERT ON time_entry
WHEN NEW.end_time IS NULL OR NEW.end_time > NEW.start_time
BEGIN
SELECT RAISE(ABORT, 'ex_time_entry_no_overlap') FROM (
SELECT end_time FROM time_entry
WHERE user_id = NEW.user_id AND TRUE
AND start_time < COALESCE(NEW.end_time, 9223372036854775807)
AND (end_time IS NULL OR end_time > start_time)
ORDER BY start_time DESC LIMIT 1
) WHERE end_time > NEW.start_time OR (end_time IS NULL AND NEW.end_time IS NOT NULL);
END
CREATE TRIGGER time_entry_no_overlap_update BEFORE UPDATE OF id, user_id, start_time, end_time ON time_entry
WHEN NEW.end_time IS NULL OR NEW.end_time > NEW.start_time
BEGIN
SELECT RAISE(ABORT, 'ex_time_entry_no_overlap') FROM (
SELECT end_time FROM time_entry
WHERE user_id = NEW.user_id AND id <> OLD.id
AND start_time < COALESCE(NEW.end_time, 9223372036854775807)
AND (end_time IS NULL OR end_time > start_time)
ORDER BY start_time DESC LIMIT 1
) WHERE end_time > NEW.start_time OR (end_time IS NULL AND NEW.end_time IS NOT NULL);
END
CREATE UNIQUE INDEX uq_time_entry_one_open_per_user ON time_entry (user_id) WHERE end_time IS NULL
CREATE TABLE time_zone (
name VARCHAR(64) NOT NULL,
PRIMARY KEY (name)
)
CREATE TABLE timesheet (
id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
user_id INTEGER NOT NULL,
first_day DATE NOT NULL,
last_day DATE NOT NULL,
status VARCHAR(16) NOT NULL,
version INTEGER NOT NULL,
total_seconds BIGINT,
entries INTEGER,
digest VARCHAR(64),
digest_version SMALLINT,
submitted_at BIGINT,
submitted_by INTEGER,
decided_at BIGINT,
decided_by INTEGER,
returned_at BIGINT,
comment VARCHAR(500),
CONSTRAINT ck_timesheet_days CHECK (last_day >= first_day),
CONSTRAINT ck_timesheet_status CHECK (status IN ('open', 'submitted', 'approved', 'rejected')),
CONSTRAINT ck_timesheet_locked CHECK ((status IN ('submitted', 'approved')) = (digest IS NOT NULL)),
CONSTRAINT ck_timesheet_not_by_oneself CHECK (decided_by <> user_id),
CONSTRAINT fk_timesheet_user_id_user FOREIGN KEY(user_id) REFERENCES user (id),
CONSTRAINT fk_timesheet_submitted_by_user FOREIGN KEY(submitted_by) REFERENCES user (id),
CONSTRAINT fk_timesheet_decided_by_user FOREIGN KEY(decided_by) REFERENCES user (id)
)
CREATE INDEX ix_timesheet_first_day ON timesheet (first_day)
CREATE INDEX ix_timesheet_waiting ON timesheet (submitted_at, id) WHERE status = 'submitted'
CREATE UNIQUE INDEX uq_timesheet_user_id_first_day ON timesheet (user_id, first_day)
CREATE TABLE timesheet_rule (
valid_from DATE NOT NULL,
period VARCHAR(16) NOT NULL,
created_at BIGINT NOT NULL,
created_by INTEGER NOT NULL,
PRIMARY KEY (valid_from),
CONSTRAINT ck_timesheet_rule_period CHECK (period IN ('week', 'two_weeks', 'half_month', 'month')),
CONSTRAINT fk_timesheet_rule_created_by_user FOREIGN KEY(created_by) REFERENCES user (id)
)
CREATE TABLE user (
id INTEGER NOT NULL,
email VARCHAR(254) NOT NULL,
email_key VARCHAR(400) NOT NULL,
first_name VARCHAR(100) NOT NULL,
last_name VARCHAR(100) NOT NULL,
name_key VARCHAR(801) NOT NULL,
password_hash VARCHAR(255) NOT NULL,
role VARCHAR(16) NOT NULL,
is_active BOOLEAN NOT NULL,
manager_id INTEGER,
time_zone VARCHAR(64) NOT NULL,
created_at BIGINT NOT NULL, must_change_password BOOLEAN DEFAULT 0 NOT NULL, has_second_factor BOOLEAN DEFAULT 0 NOT NULL,
PRIMARY KEY (id),
CONSTRAINT ck_user_not_their_own_manager CHECK (manager_id <> id),
CONSTRAINT ck_user_role CHECK (role IN ('employee', 'manager', 'admin')),
CONSTRAINT fk_user_manager_id_user FOREIGN KEY(manager_id) REFERENCES user (id),
CONSTRAINT fk_user_time_zone_time_zone FOREIGN KEY(time_zone) REFERENCES time_zone (name)
)
CREATE INDEX ix_user_manager_id ON user (manager_id)
CREATE UNIQUE INDEX uq_user_email_key ON user (email_key)
""",  # noqa: E501 - as SQLite says it
    POSTGRESQL: """
alembic_version.version_num character varying(32) not null
api_token.id integer not null default nextval('api_token_id_seq'::regclass)
api_token.user_id integer not null
api_token.name character varying(100) not null
api_token.scopes character varying(200) not null
api_token.token_hash character varying(64) not null
api_token.created_at timestamp with time zone not null
api_token.expires_at timestamp with time zone not null
api_token.last_used_at timestamp with time zone
audit_chain.chain_id integer not null
audit_chain.length bigint not null
audit_chain.last_link character varying(64) not null
audit_event.chain_id integer not null
audit_event.position bigint not null
audit_event.at timestamp with time zone not null
audit_event.action character varying(64) not null
audit_event.actor_id integer
audit_event.object_type character varying(32) not null
audit_event.object_id integer
audit_event.before text
audit_event.after text
audit_event.reason character varying(80)
audit_event.personal text
audit_event.request_id character varying(64) not null
audit_event.key_id character varying(16) not null
audit_event.link character varying(64) not null
failed_login.id integer not null default nextval('failed_login_id_seq'::regclass)
failed_login.account character varying(64) not null
failed_login.address character varying(49) not null
failed_login.at timestamp with time zone not null
global_lock.name character varying(32) not null
idempotency_key.user_id integer not null
idempotency_key.key character varying(255) not null
idempotency_key.fingerprint character varying(64) not null
idempotency_key.answer text not null
idempotency_key.created_at timestamp with time zone not null
known_address.user_id integer not null
known_address.address character varying(49) not null
known_address.last_login_at timestamp with time zone not null
login_session.id integer not null default nextval('login_session_id_seq'::regclass)
login_session.user_id integer not null
login_session.refresh_hash character varying(64) not null
login_session.spent_hash character varying(64)
login_session.refreshed_at timestamp with time zone not null
login_session.device character varying(200) not null
login_session.address character varying(45) not null
login_session.created_at timestamp with time zone not null
login_session.last_used_at timestamp with time zone not null
login_session.expires_at timestamp with time zone not null
password_link.user_id integer not null
password_link.token_hash character varying(64) not null
password_link.created_at timestamp with time zone not null
password_link.expires_at timestamp with time zone not null
payroll_lock.name character varying(16) not null
payroll_lock.before_day date
payroll_lock.version integer not null
payroll_lock.changed_at timestamp with time zone
payroll_lock.changed_by integer
project.id integer not null default nextval('project_id_seq'::regclass)
project.name character varying(200) not null
project.name_key character varying(400) collate C not null
project.is_active boolean not null
project.created_at timestamp with time zone not null
project.code character varying(50)
project_member.project_id integer not null
project_member.user_id integer not null
recovery_code.user_id integer not null
recovery_code.code_hash character varying(64) not null
refused_login.chain_id integer not null
refused_login.due_at timestamp with time zone not null
refused_login.first_at timestamp with time zone
refused_login.last_at timestamp with time zone
refused_login.wrong_passwords bigint not null
refused_login.missing_codes bigint not null
refused_login.rejected_codes bigint not null
refused_login.over_limit bigint not null
reminder.user_id integer not null
reminder.day date not null
second_factor.user_id integer not null
second_factor.secret character varying(200) not null
second_factor.created_at timestamp with time zone not null
second_factor.confirmed_at timestamp with time zone
second_factor.last_step bigint not null
second_factor.wrong_codes integer not null default 0
time_entry.id integer not null default nextval('time_entry_id_seq'::regclass)
time_entry.user_id integer not null
time_entry.project_id integer not null
time_entry.start_time timestamp with time zone not null
time_entry.end_time timestamp with time zone
time_entry.description character varying(2000) not null
time_entry.time_zone character varying(64) not null
time_entry.needs_review boolean not null
time_entry.version integer not null
time_entry.created_at timestamp with time zone not null
time_entry.updated_at timestamp with time zone not null
time_entry.timesheet_id integer
time_zone.name character varying(64) not null
timesheet.id integer not null default nextval('timesheet_id_seq'::regclass)
timesheet.user_id integer not null
timesheet.first_day date not null
timesheet.last_day date not null
timesheet.status character varying(16) not null
timesheet.version integer not null
timesheet.total_seconds bigint
timesheet.entries integer
timesheet.digest character varying(64)
timesheet.digest_version smallint
timesheet.submitted_at timestamp with time zone
timesheet.submitted_by integer
timesheet.decided_at timestamp with time zone
timesheet.decided_by integer
timesheet.returned_at timestamp with time zone
timesheet.comment character varying(500)
timesheet_rule.valid_from date not null
timesheet_rule.period character varying(16) not null
timesheet_rule.created_at timestamp with time zone not null
timesheet_rule.created_by integer not null
user.id integer not null default nextval('user_id_seq'::regclass)
user.email character varying(254) not null
user.email_key character varying(400) not null
user.first_name character varying(100) not null
user.last_name character varying(100) not null
user.name_key character varying(801) not null
user.password_hash character varying(255) not null
user.role character varying(16) not null
user.is_active boolean not null
user.manager_id integer
user.time_zone character varying(64) not null
user.........pg.dropped.12........ -
user.created_at timestamp with time zone not null
user.must_change_password boolean not null default false
user.has_second_factor boolean not null default false
CREATE INDEX ix_api_token_user_id ON public.api_token USING btree (user_id)
CREATE INDEX ix_audit_event_at ON public.audit_event USING btree (at, chain_id, "position")
CREATE INDEX ix_audit_event_by_another ON public.audit_event USING btree (actor_id, at) WHERE (actor_id <> chain_id)
CREATE INDEX ix_audit_event_object ON public.audit_event USING btree (object_type, object_id)
CREATE INDEX ix_failed_login_account_at ON public.failed_login USING btree (account, at)
CREATE INDEX ix_failed_login_address_at ON public.failed_login USING btree (address, at)
CREATE INDEX ix_failed_login_at ON public.failed_login USING btree (at)
CREATE INDEX ix_idempotency_key_created_at ON public.idempotency_key USING btree (created_at)
CREATE INDEX ix_login_session_expires_at ON public.login_session USING btree (expires_at)
CREATE INDEX ix_login_session_user_id ON public.login_session USING btree (user_id)
CREATE INDEX ix_project_member_user_id ON public.project_member USING btree (user_id)
CREATE INDEX ix_refused_login_due_at ON public.refused_login USING btree (due_at)
CREATE INDEX ix_time_entry_needs_review ON public.time_entry USING btree (start_time) WHERE needs_review
CREATE INDEX ix_time_entry_project_id ON public.time_entry USING btree (project_id)
CREATE INDEX ix_time_entry_start_time ON public.time_entry USING btree (start_time, id)
CREATE INDEX ix_time_entry_user_id_start_time ON public.time_entry USING btree (user_id, start_time)
CREATE INDEX ix_timesheet_first_day ON public.timesheet USING btree (first_day)
CREATE INDEX ix_timesheet_waiting ON public.timesheet USING btree (submitted_at, id) WHERE ((status)::text = 'submitted'::text)
CREATE INDEX ix_user_manager_id ON public."user" USING btree (manager_id)
CREATE TRIGGER audit_chain_only_grows_row BEFORE DELETE OR UPDATE ON public.audit_chain FOR EACH ROW EXECUTE FUNCTION audit_chain_only_grows()
CREATE TRIGGER audit_chain_only_grows_truncate BEFORE TRUNCATE ON public.audit_chain FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_only_grows()
CREATE TRIGGER audit_event_append_only_row BEFORE DELETE OR UPDATE ON public.audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_is_append_only()
CREATE TRIGGER audit_event_append_only_truncate BEFORE TRUNCATE ON public.audit_event FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only()
CREATE TRIGGER audit_event_extends_its_chain AFTER INSERT ON public.audit_event FOR EACH ROW EXECUTE FUNCTION audit_event_extends_its_chain()
CREATE TRIGGER time_entry_locked_delete BEFORE DELETE ON public.time_entry FOR EACH ROW WHEN ((old.timesheet_id IS NOT NULL)) EXECUTE FUNCTION time_entry_is_locked()
CREATE TRIGGER time_entry_locked_update BEFORE UPDATE ON public.time_entry FOR EACH ROW WHEN (((old.timesheet_id IS NOT NULL) AND ((new.timesheet_id IS NOT NULL) OR (((((((((((old.id IS DISTINCT FROM new.id) OR (old.user_id IS DISTINCT FROM new.user_id)) OR (old.project_id IS DISTINCT FROM new.project_id)) OR (old.start_time IS DISTINCT FROM new.start_time)) OR (old.end_time IS DISTINCT FROM new.end_time)) OR ((old.description)::text IS DISTINCT FROM (new.description)::text)) OR ((old.time_zone)::text IS DISTINCT FROM (new.time_zone)::text)) OR (old.needs_review IS DISTINCT FROM new.needs_review)) OR (old.version IS DISTINCT FROM new.version)) OR (old.created_at IS DISTINCT FROM new.created_at)) OR (old.updated_at IS DISTINCT FROM new.updated_at))))) EXECUTE FUNCTION time_entry_is_locked()
CREATE UNIQUE INDEX uq_api_token_token_hash ON public.api_token USING btree (token_hash)
CREATE UNIQUE INDEX uq_password_link_token_hash ON public.password_link USING btree (token_hash)
CREATE UNIQUE INDEX uq_project_code ON public.project USING btree (code)
CREATE UNIQUE INDEX uq_project_name_key ON public.project USING btree (name_key)
CREATE UNIQUE INDEX uq_time_entry_one_open_per_user ON public.time_entry USING btree (user_id) WHERE (end_time IS NULL)
CREATE UNIQUE INDEX uq_timesheet_user_id_first_day ON public.timesheet USING btree (user_id, first_day)
CREATE UNIQUE INDEX uq_user_email_key ON public."user" USING btree (email_key)
alembic_version: alembic_version_pkc PRIMARY KEY (version_num)
api_token: api_token_pkey PRIMARY KEY (id)
api_token: fk_api_token_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
audit_chain: audit_chain_pkey PRIMARY KEY (chain_id)
audit_chain_only_grows() BEGIN IF TG_OP = 'UPDATE' THEN IF NEW.chain_id = OLD.chain_id AND NEW.length = OLD.length + 1 THEN RETURN NEW; END IF; END IF; RAISE EXCEPTION 'audit_chain_only_grows' USING ERRCODE = 'restrict_violation'; END
audit_event: pk_audit_event PRIMARY KEY (chain_id, "position")
audit_event_extends_its_chain() BEGIN IF NEW.position = 1 THEN INSERT INTO audit_chain (chain_id, length, last_link) VALUES (NEW.chain_id, 0, '') ON CONFLICT DO NOTHING; END IF; UPDATE audit_chain SET length = NEW.position, last_link = NEW.link WHERE chain_id = NEW.chain_id AND length = NEW.position - 1; IF NOT FOUND THEN RAISE EXCEPTION 'audit_event_extends_its_chain' USING ERRCODE = 'restrict_violation'; END IF; RETURN NULL; END
audit_event_is_append_only() BEGIN IF TG_OP = 'UPDATE' THEN IF NEW.personal IS NULL AND to_jsonb(NEW) - 'personal' = to_jsonb(OLD) - 'personal' AND EXISTS ( SELECT FROM audit_chain JOIN audit_event USING (chain_id) WHERE chain_id = OLD.chain_id AND position = length AND action = 'user:erase' ) THEN RETURN NEW; END IF; END IF; RAISE EXCEPTION 'audit_event_is_append_only' USING ERRCODE = 'restrict_violation'; END
failed_login: failed_login_pkey PRIMARY KEY (id)
global_lock: global_lock_pkey PRIMARY KEY (name)
idempotency_key: idempotency_key_pkey PRIMARY KEY (user_id, key)
known_address: fk_known_address_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
known_address: known_address_pkey PRIMARY KEY (user_id, address)
login_session: fk_login_session_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
login_session: login_session_pkey PRIMARY KEY (id)
password_link: fk_password_link_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
password_link: password_link_pkey PRIMARY KEY (user_id)
payroll_lock: fk_payroll_lock_changed_by_user FOREIGN KEY (changed_by) REFERENCES "user"(id)
payroll_lock: payroll_lock_pkey PRIMARY KEY (name)
project: project_pkey PRIMARY KEY (id)
project_member: fk_project_member_project_id_project FOREIGN KEY (project_id) REFERENCES project(id)
project_member: fk_project_member_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
project_member: project_member_pkey PRIMARY KEY (project_id, user_id)
recovery_code: fk_recovery_code_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
recovery_code: recovery_code_pkey PRIMARY KEY (user_id, code_hash)
refused_login: refused_login_pkey PRIMARY KEY (chain_id)
reminder: fk_reminder_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
reminder: reminder_pkey PRIMARY KEY (user_id)
second_factor: fk_second_factor_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
second_factor: second_factor_pkey PRIMARY KEY (user_id)
time_entry: ck_time_entry_ends_after_start CHECK ((end_time >= start_time))
time_entry: ex_time_entry_no_overlap EXCLUDE USING gist (int4range(user_id, user_id, '[]'::text) WITH =, tstzrange(start_time, end_time) WITH &&)
time_entry: fk_time_entry_project_id_project FOREIGN KEY (project_id) REFERENCES project(id)
time_entry: fk_time_entry_timesheet_id_timesheet FOREIGN KEY (timesheet_id) REFERENCES timesheet(id)
time_entry: fk_time_entry_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
time_entry: time_entry_pkey PRIMARY KEY (id)
time_entry_is_locked() BEGIN RAISE EXCEPTION 'ck_time_entry_locked' USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_time_entry_locked'; END
time_zone: time_zone_pkey PRIMARY KEY (name)
timesheet: ck_timesheet_days CHECK ((last_day >= first_day))
timesheet: ck_timesheet_locked CHECK ((((status)::text = ANY ((ARRAY['submitted'::character varying, 'approved'::character varying])::text[])) = (digest IS NOT NULL)))
timesheet: ck_timesheet_not_by_oneself CHECK ((decided_by <> user_id))
timesheet: ck_timesheet_status CHECK (((status)::text = ANY ((ARRAY['open'::character varying, 'submitted'::character varying, 'approved'::character varying, 'rejected'::character varying])::text[])))
timesheet: fk_timesheet_decided_by_user FOREIGN KEY (decided_by) REFERENCES "user"(id)
timesheet: fk_timesheet_submitted_by_user FOREIGN KEY (submitted_by) REFERENCES "user"(id)
timesheet: fk_timesheet_user_id_user FOREIGN KEY (user_id) REFERENCES "user"(id)
timesheet: timesheet_pkey PRIMARY KEY (id)
timesheet_rule: ck_timesheet_rule_period CHECK (((period)::text = ANY ((ARRAY['week'::character varying, 'two_weeks'::character varying, 'half_month'::character varying, 'month'::character varying])::text[])))
timesheet_rule: fk_timesheet_rule_created_by_user FOREIGN KEY (created_by) REFERENCES "user"(id)
timesheet_rule: timesheet_rule_pkey PRIMARY KEY (valid_from)
user: ck_user_not_their_own_manager CHECK ((manager_id <> id))
user: ck_user_role CHECK (((role)::text = ANY ((ARRAY['employee'::character varying, 'manager'::character varying, 'admin'::character varying])::text[])))
user: fk_user_manager_id_user FOREIGN KEY (manager_id) REFERENCES "user"(id)
user: fk_user_time_zone_time_zone FOREIGN KEY (time_zone) REFERENCES time_zone(name)
user: user_pkey PRIMARY KEY (id)
""",  # noqa: E501 - as PostgreSQL says it
}

MIGRATE = """
import sys
from app.core.config.settings import load_settings
from app.core.database.session import Database
from app.core.database.migrations import migrate

database = Database(load_settings())
print("ready", flush=True)
sys.stdin.readline()
migrate(database)
"""
MIGRATE_AND_DIE = """
import os, signal
from sqlalchemy import Engine, event
from app.core.config.settings import load_settings
from app.core.database.session import Database
from app.core.database.migrations import migrate

database = Database(load_settings())

@event.listens_for(Engine, "before_cursor_execute")
def die(connection, cursor, statement, *rest):
    if "CREATE TRIGGER audit_event" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(database)
"""


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """Return a database without tables."""
    opened = Database(settings_for(empty_url))
    yield opened
    opened.close()


def test_the_schema_at_head_is_exactly_this(database, engine):
    assert objects_of(database) == AT_HEAD[engine].strip().splitlines()


def test_the_models_say_what_the_migrations_made(database):
    with database.engine.connect() as connection:
        seen = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

        assert compare_metadata(seen, all_tables()) == []


def test_the_row_that_changes_of_people_lock_is_there(database):
    with database.write_transaction() as session:
        lock_user_rules(session)

        assert session.execute(text("SELECT name FROM global_lock")).scalars().all() == ["people"]


def test_a_full_database_goes_down_to_nothing_and_up_again(database, engine, people):
    mia, website = people.manager("Mia"), people.project("Website")
    ana = people.employee("Ana", manager=mia)
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
    submit_month(database, ana, date(2026, 3, 1))

    run_alembic(database, "downgrade", "base")
    left, state = objects_of(database), detect_schema_state(database)
    run_alembic(database, "upgrade", "head")

    assert all("alembic_version" in line or "version_num" in line or line == ")" for line in left)
    assert state is SchemaState.empty
    assert objects_of(database) == AT_HEAD[engine].strip().splitlines()


def test_without_timesheets_and_with_them_again_every_entry_is_there_and_unlocked(database, engine, people):
    ana, website = people.employee("Ana"), people.project("Website")
    first = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
    people.entry(ana, website, "2026-04-02 08:00", None)
    submit_month(database, ana, date(2026, 3, 1))
    before = _entries(database)

    run_alembic(database, "downgrade", BEFORE_TIMESHEETS)
    without = _entries(database)
    run_alembic(database, "upgrade", "head")

    assert [locked is not None for *_, locked in before] == [True, False]
    assert without == [row[:-1] for row in before]
    assert _entries(database) == [(*row[:-1], None) for row in before]
    dropped = {line for line in objects_of(database) if ".pg.dropped." in line}
    head = [line for line in AT_HEAD[engine].strip().splitlines() if line not in dropped]
    assert [line for line in objects_of(database) if line not in dropped] == head
    assert people.entry(people.employee("Bob"), website, "2026-03-02 08:00", "2026-03-02 12:00") == first + 2


def test_migrating_a_database_at_head_changes_nothing(database, engine, people):
    ana = people.employee("Ana")

    migrate(database)

    assert people.reload(ana) == ana
    assert objects_of(database) == AT_HEAD[engine].strip().splitlines()


def test_a_database_with_somebody_elses_tables_is_refused_and_left_alone(empty):
    _run(empty, "CREATE TABLE invoice (id INTEGER PRIMARY KEY)")
    before = objects_of(empty)

    with pytest.raises(UnknownSchema):
        migrate(empty)

    assert objects_of(empty) == before


def test_a_database_with_somebody_elses_migrations_is_refused_and_left_alone(empty):
    _run(empty, "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    _run(empty, "INSERT INTO alembic_version VALUES ('of_an_invoice_service')")
    before = objects_of(empty)

    with pytest.raises(UnknownSchema):
        migrate(empty)

    assert objects_of(empty) == before


def test_alembic_from_the_command_line_refuses_somebody_elses_tables_in_one_line(empty, empty_url, capsys):
    _run(empty, "CREATE TABLE invoice (id INTEGER PRIMARY KEY)")
    before = objects_of(empty)

    with pytest.raises(SystemExit) as failed:
        _alembic(empty_url, "upgrade", "head")

    assert failed.value.code != 0
    assert "nothing was changed" in "".join(capsys.readouterr())
    assert objects_of(empty) == before


def test_alembic_from_the_command_line_takes_the_database_of_the_environment(empty, empty_url, engine):
    upgraded = _command_line(empty_url, "-m", "alembic", "upgrade", "head")
    _alembic(empty_url, "check")

    assert upgraded.returncode == 0, upgraded.stderr
    assert objects_of(empty) == AT_HEAD[engine].strip().splitlines()


def test_of_two_processes_that_start_at_once_on_an_empty_database_one_migrates_it(empty, empty_url, engine):
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE],
            cwd=ROOT,
            env=_environment(empty_url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ready = [process.stdout.readline() for process in starting]
    for process in starting:
        process.stdin.write("go\n")
        process.stdin.flush()
    output = [process.communicate(timeout=60)[1] for process in starting]

    assert ready == ["ready\n"] * 2, output
    assert [process.returncode for process in starting] == [0, 0], output
    assert objects_of(empty) == AT_HEAD[engine].strip().splitlines()


def test_a_migration_killed_half_way_leaves_nothing_and_can_be_run_again(empty, empty_url, engine):
    killed = _command_line(empty_url, "-c", MIGRATE_AND_DIE)
    left = objects_of(empty)
    migrate(empty)

    assert killed.returncode == -signal.SIGKILL
    assert left == []
    assert objects_of(empty) == AT_HEAD[engine].strip().splitlines()


def test_a_migration_that_fails_at_its_last_table_leaves_nothing_and_can_be_run_again(empty, engine):
    _run(empty, "CREATE VIEW audit_event AS SELECT 1 AS one")
    before = objects_of(empty)

    with pytest.raises(DBAPIError):
        migrate(empty)
    left = objects_of(empty)
    _run(empty, "DROP VIEW audit_event")
    migrate(empty)

    assert left == before
    assert objects_of(empty) == AT_HEAD[engine].strip().splitlines()


def test_a_migration_that_fails_on_the_command_line_leaves_nothing(empty, empty_url):
    _run(empty, "CREATE VIEW audit_event AS SELECT 1 AS one")
    before = objects_of(empty)

    with pytest.raises(DBAPIError):
        _alembic(empty_url, "upgrade", "head")

    assert objects_of(empty) == before


def objects_of(database: Database) -> list[str]:
    """Return all schema objects in the catalog, one per line."""
    with database.engine.connect() as connection:
        if connection.dialect.name == SQLITE:
            return [line.strip() for sql in connection.scalars(text(SQLITE_OBJECTS)) for line in sql.splitlines()]
        columns, others = connection.scalars(text(POSTGRESQL_COLUMNS)), connection.scalars(text(POSTGRESQL_OBJECTS))
        return [*columns, *sorted(others)]


def _entries(database: Database) -> list[Row[Any]]:
    with database.engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM time_entry ORDER BY id")))


def _run(database: Database, statement: str) -> None:
    with connect_for_writing(database) as connection:
        connection.execute(text(statement))
        connection.commit()


def _command_line(db_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=_environment(db_url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _alembic(db_url: str, *arguments: str) -> None:
    """Run the command line of Alembic in this process, because a new one takes 1 s of CPU."""
    with chdir(ROOT), patch.dict(os.environ, _environment(db_url)):
        alembic_command_line(arguments)


def _environment(db_url: str) -> dict[str, str]:
    return os.environ | {"DB_URL": db_url, "SECRET_KEY": SECRET_KEY}
