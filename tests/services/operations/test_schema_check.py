"""Comparison of the schema with the migrations: guards that are missing, and triggers that somebody added."""

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.database.migrations import UnusableDatabase, head_revision
from app.core.database.session import Database
from app.core.time.clock import utc_now
from app.models.metadata import own_tables
from app.services.operations.schema_check import POSTGRESQL_GUARDS, find_differences
from app.services.operations.startup import prepare
from tests.services.audit.test_keys import PRODUCTION
from tests.support.databases import POSTGRESQL, SQLITE, settings_for

HOURS_FOR_SALE = {
    SQLITE: [
        "CREATE TRIGGER more_hours AFTER INSERT ON time_entry BEGIN UPDATE time_entry SET description = 'x'; END",
    ],
    POSTGRESQL: [
        "CREATE FUNCTION more_hours() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE TRIGGER more_hours BEFORE INSERT ON time_entry FOR EACH ROW EXECUTE FUNCTION more_hours()",
    ],
}
DROP_GUARD = {
    SQLITE: "DROP TRIGGER audit_event_append_only_UPDATE",
    POSTGRESQL: "DROP TRIGGER audit_event_append_only_row ON audit_event",
}
SPY = "CREATE FUNCTION copy_of(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN id; END'"
TAMPERED = [
    (
        SQLITE,
        ["DROP INDEX uq_time_entry_one_open_per_user"],
        "The index uq_time_entry_one_open_per_user is missing.",
    ),
    (SQLITE, ["CREATE VIEW hours AS SELECT * FROM time_entry"], "The view hours was added."),
    (
        SQLITE,
        [
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('TRIGGER', 'sqlite_x', 'time_entry', 0, "
            "'CREATE TRIGGER sqlite_x AFTER INSERT ON time_entry BEGIN SELECT 1; END')",
        ],
        "The trigger sqlite_x was added.",
    ),
    (
        SQLITE,
        [
            "PRAGMA writable_schema = ON",
            """UPDATE sqlite_master SET sql = replace(replace(sql, 'RAISE(', '"RAISE('), 'only'')', 'only'')"')
            WHERE name = 'audit_event_append_only_DELETE'""",
        ],
        "The trigger audit_event_append_only_DELETE was changed.",
    ),
    (
        POSTGRESQL,
        ["ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only_row"],
        "The trigger audit_event_append_only_row on audit_event was changed.",
    ),
    (
        POSTGRESQL,
        [
            "DROP TRIGGER time_entry_locked_delete ON time_entry",
            "CREATE TRIGGER time_entry_locked_delete BEFORE DELETE ON time_entry FOR EACH ROW "
            "WHEN (OLD.timesheet_id IS NULL) EXECUTE FUNCTION time_entry_is_locked()",
        ],
        "The trigger time_entry_locked_delete on time_entry was changed.",
    ),
    (SQLITE, ["DROP TRIGGER time_entry_locked_update"], "The trigger time_entry_locked_update is missing."),
    (
        POSTGRESQL,
        ["CREATE OR REPLACE FUNCTION audit_chain_only_grows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"],
        "The trigger audit_chain_only_grows_row on audit_chain was changed. "
        "The trigger audit_chain_only_grows_truncate on audit_chain was changed.",
    ),
    (
        POSTGRESQL,
        ["CREATE RULE more_hours AS ON UPDATE TO project DO ALSO UPDATE time_entry SET description = 'x'"],
        "The rule more_hours on project was added.",
    ),
    (
        POSTGRESQL,
        ["ALTER TABLE time_entry ENABLE ROW LEVEL SECURITY", "CREATE POLICY hide ON time_entry USING (id <> 1)"],
        "The policy hide on time_entry was added. The row security on time_entry was added.",
    ),
    (
        POSTGRESQL,
        [
            "CREATE FUNCTION more_hours() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE EVENT TRIGGER more_hours ON ddl_command_end EXECUTE FUNCTION more_hours()",
        ],
        "The event trigger more_hours on ddl_command_end was added.",
    ),
    (
        POSTGRESQL,
        [
            "CREATE TRIGGER audit_event_append_only_row BEFORE UPDATE ON project FOR EACH ROW "
            "EXECUTE FUNCTION audit_event_is_append_only()"
        ],
        "The trigger audit_event_append_only_row on project was added.",
    ),
    (
        POSTGRESQL,
        [
            "ALTER TABLE time_entry DROP CONSTRAINT ex_time_entry_no_overlap",
            "DROP INDEX uq_time_entry_one_open_per_user",
        ],
        "The exclusion constraint on time_entry is missing. The partial unique index on time_entry is missing.",
    ),
    (
        POSTGRESQL,
        [
            "ALTER TABLE time_entry DROP CONSTRAINT ex_time_entry_no_overlap, ADD CONSTRAINT ex_time_entry_no_overlap "
            "EXCLUDE USING gist (int4range(user_id, user_id, '[]') WITH =, tstzrange(start_time, end_time) WITH &&) "
            "WHERE (id < 0)",
            "DROP INDEX uq_time_entry_one_open_per_user",
            "CREATE UNIQUE INDEX uq_time_entry_one_open_per_user ON time_entry (user_id) WHERE id < 0",
        ],
        "The exclusion constraint on time_entry was changed. The partial unique index on time_entry was changed.",
    ),
    (
        POSTGRESQL,
        ["ALTER FUNCTION audit_event_extends_its_chain() SET search_path = elsewhere, public"],
        "The trigger audit_event_extends_its_chain on audit_event was changed.",
    ),
    (
        POSTGRESQL,
        ["ALTER FUNCTION audit_event_extends_its_chain() SECURITY DEFINER"],
        "The trigger audit_event_extends_its_chain on audit_event was changed.",
    ),
    (
        POSTGRESQL,
        [SPY, "ALTER TABLE time_entry ADD CONSTRAINT ck_time_entry_sane CHECK (copy_of(user_id) > 0) NOT VALID"],
        "The function in constraint ck_time_entry_sane on time_entry was added.",
    ),
    (
        POSTGRESQL,
        [SPY, "ALTER TABLE time_entry ALTER version SET DEFAULT copy_of(1)"],
        "The column version on time_entry was changed. The function in default version on time_entry was added.",
    ),
    (
        POSTGRESQL,
        [SPY, "CREATE INDEX ix_copies ON time_entry (copy_of(user_id))"],
        "The function in index ix_copies on time_entry was added.",
    ),
    (
        POSTGRESQL,
        [
            "CREATE FUNCTION make_interval(years int DEFAULT 0, secs int DEFAULT 0) RETURNS interval LANGUAGE sql "
            "AS $$ SELECT interval '5 hours' $$"
        ],
        "The function public.make_interval(years integer, secs integer) was added.",
    ),
    (
        POSTGRESQL,
        [
            "CREATE FUNCTION half(bigint, numeric) RETURNS numeric LANGUAGE sql AS $$ SELECT $1::numeric / $2 / 2 $$",
            "CREATE OPERATOR / (LEFTARG = bigint, RIGHTARG = numeric, FUNCTION = half)",
        ],
        "The operator public./(bigint, numeric) was added.",
    ),
    (
        POSTGRESQL,
        ["CREATE AGGREGATE public.sum(bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '99')"],
        "The function public.sum(bigint) was added.",
    ),
    (
        POSTGRESQL,
        [
            "CREATE FUNCTION nine(bigint) RETURNS text LANGUAGE sql AS $$ SELECT '9' $$",
            "CREATE CAST (bigint AS text) WITH FUNCTION nine(bigint)",
        ],
        "The cast from bigint to text was added.",
    ),
    (
        POSTGRESQL,
        [
            "ALTER TABLE time_entry DROP CONSTRAINT ck_time_entry_ends_after_start, "
            "DROP CONSTRAINT fk_time_entry_user_id_user",
            'ALTER TABLE "user" DROP CONSTRAINT ck_user_role, ADD CONSTRAINT ck_user_role CHECK (id > 0)',
        ],
        "The constraint ck_time_entry_ends_after_start on time_entry is missing. "
        "The constraint fk_time_entry_user_id_user on time_entry is missing. "
        "The constraint ck_user_role on user was changed.",
    ),
    (
        POSTGRESQL,
        [
            "ALTER TABLE time_entry DROP CONSTRAINT fk_time_entry_user_id_user, ADD CONSTRAINT "
            'fk_time_entry_user_id_user FOREIGN KEY (user_id) REFERENCES "user" (id) NOT VALID',
            "ALTER TABLE api_token DROP CONSTRAINT fk_api_token_user_id_user, ADD CONSTRAINT "
            'fk_api_token_user_id_user FOREIGN KEY (user_id) REFERENCES "user" (id) ON DELETE CASCADE',
        ],
        "The constraint fk_api_token_user_id_user on api_token was changed. "
        "The constraint fk_time_entry_user_id_user on time_entry was changed.",
    ),
    (
        POSTGRESQL,
        ["ALTER TABLE project_member DISABLE TRIGGER ALL"],
        "The constraint fk_project_member_project_id_project on project_member was changed. "
        "The constraint fk_project_member_user_id_user on project_member was changed.",
    ),
    (
        POSTGRESQL,
        ["ALTER TABLE time_entry SET UNLOGGED"],
        "The unlogged storage on time_entry was added.",
    ),
    (
        POSTGRESQL,
        ["DROP INDEX uq_user_email_key", "ALTER TABLE idempotency_key DROP CONSTRAINT idempotency_key_pkey"],
        "The unique key (email_key) on user is missing. The unique key (user_id, key) on idempotency_key is missing.",
    ),
    (
        POSTGRESQL,
        [
            "ALTER TABLE time_entry ALTER project_id DROP NOT NULL, ALTER needs_review SET DEFAULT false",
            "ALTER TABLE login_session ALTER expires_at TYPE timestamp",
            "ALTER TABLE known_address DROP COLUMN last_login_at",
        ],
        "The column last_login_at on known_address is missing. The column expires_at on login_session was changed. "
        "The column needs_review on time_entry was changed. The column project_id on time_entry was changed.",
    ),
]
NEEDS_ICU = pytest.param(
    POSTGRESQL,
    [
        "CREATE COLLATION same (PROVIDER = icu, LOCALE = 'und-u-ks-level1', DETERMINISTIC = false)",
        'ALTER TABLE "user" ALTER email_key TYPE varchar(400) COLLATE same',
    ],
    "The column email_key on user was changed.",
    marks=pytest.mark.system,  # the PostgreSQL of the Python package has no ICU
)


def start(db_url: str, **settings: object) -> list[str]:
    return prepare(settings_for(db_url, **settings), at=utc_now())


def run_sql(database: Database, *statements: str) -> None:
    with database.write_transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def test_the_migrations_differ_in_nothing_from_themselves(database, db_url):
    with database.read_transaction() as session:
        objects = session.read_schema_objects(own_tables())

        assert find_differences(session) == []
        assert objects.keys() >= POSTGRESQL_GUARDS.keys() or session.settings.is_sqlite


def test_production_does_not_start_with_a_trigger_that_somebody_added(people, database, db_url, engine):
    people.admin("Ada")
    run_sql(database, *HOURS_FOR_SALE[engine])

    with pytest.raises(UnusableDatabase, match=r"The trigger more_hours( on time_entry)? was added\.") as refused:
        start(db_url, **PRODUCTION)

    assert "\n" not in str(refused.value)


def test_production_does_not_start_without_a_guard_of_the_audit_log(people, database, db_url, engine):
    people.admin("Ada")
    run_sql(database, DROP_GUARD[engine])

    with pytest.raises(
        UnusableDatabase, match=f"The trigger {DROP_GUARD[engine].split()[2]}( on audit_event)? is missing"
    ):
        start(db_url, **PRODUCTION)


def test_development_starts_with_a_warning(people, database, db_url, engine):
    people.admin("Ada")
    run_sql(database, *HOURS_FOR_SALE[engine])

    (warning,) = start(db_url)
    assert warning.startswith("The trigger more_hours") and warning.endswith("was added.")


@pytest.mark.parametrize(
    ("engine", "statements", "difference"), [*TAMPERED, NEEDS_ICU], ids=lambda value: str(value)[-60:]
)
def test_a_guard_that_is_weaker_is_named(people, database, db_url, statements, difference):
    people.admin("Ada")
    run_sql(database, *statements)

    assert " ".join(start(db_url)) == difference


def test_an_index_and_a_table_of_the_operator_are_no_difference(people, database, db_url):
    people.admin("Ada")
    run_sql(database, "CREATE INDEX ix_description ON time_entry (description)", "CREATE TABLE holiday (day DATE)")

    assert start(db_url, **PRODUCTION) == []


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_setting_that_loses_acknowledged_punches_is_named(people, database, db_url):
    people.admin("Ada")
    name = make_url(db_url).database
    run_sql(database, f'ALTER DATABASE "{name}" SET synchronous_commit = off')

    assert start(db_url) == ["The setting synchronous_commit of all roles was added."]
    assert start(f"{db_url}?options=-csynchronous_commit%3Doff") == [
        "The setting synchronous_commit of all roles was added.",
        "The setting synchronous_commit of this connection was added.",
    ]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_setting_that_quotes_all_names_is_no_difference(people, database, db_url):
    people.admin("Ada")
    run_sql(database, f'ALTER DATABASE "{make_url(db_url).database}" SET quote_all_identifiers = on')

    assert start(db_url, **PRODUCTION) == []


def test_a_revision_of_no_version_is_named(people, database, db_url, run_command):
    people.records_events = True
    people.admin("Ada")
    run_sql(database, "UPDATE alembic_version SET version_num = 'f00d'")

    verified = run_command("verify-audit")

    assert start(db_url, **PRODUCTION) == [
        "The schema is at revision f00d of a newer version, so it was not compared with the migrations."
    ]
    assert verified.exit_code == 1
    assert verified.stderr.splitlines()[1] == f"The revision is f00d, not {head_revision()}."


@pytest.mark.system  # needs the extensions of the machine's PostgreSQL
@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_what_an_operator_adds_without_code_of_its_own_is_no_difference(people, database, db_url):
    people.admin("Ada")
    run_sql(
        database,
        *(f"CREATE EXTENSION {name}" for name in ("btree_gist", "pg_stat_statements", "pg_trgm", "citext")),
        "CREATE INDEX ix_distance ON time_entry USING gist (id)",
        "ALTER TABLE time_entry ADD CONSTRAINT ck_short CHECK (length(description) < 9000)",
        "ALTER INDEX uq_time_entry_one_open_per_user SET (fillfactor = 70)",
        "ALTER INDEX ex_time_entry_no_overlap SET (fillfactor = 70)",
        SPY,
        "CREATE SCHEMA other",
        "CREATE FUNCTION other.make_interval(secs int) RETURNS interval LANGUAGE sql AS 'SELECT NULL::interval'",
    )

    assert start(db_url, **PRODUCTION) == []


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_verify_audit_names_a_policy_that_hides_hours(people, database, run_command):
    people.records_events = True
    people.employee("Ana")
    assert run_command("verify-audit").exit_code == 0
    run_sql(
        database, "ALTER TABLE time_entry ENABLE ROW LEVEL SECURITY", "CREATE POLICY hide ON time_entry USING (id <> 1)"
    )

    verified = run_command("verify-audit")

    assert verified.exit_code == 1
    assert verified.stderr.splitlines()[1:] == [
        "The policy hide on time_entry was added.",
        "The row security on time_entry was added.",
        "The schema differs from what the migrations create.",
    ]
