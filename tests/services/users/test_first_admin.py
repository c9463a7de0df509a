"""The first start: creation of the first admin, rejection of the published password, and concurrent starts."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import event, select, text, update

from app.core.config.settings import DEFAULT_ADMIN_EMAIL, InvalidSettings
from app.core.database.migrations import (
    SchemaState,
    UnknownSchema,
    UnusableDatabase,
    detect_schema_state,
    ensure_schema,
    migrate,
    open_database,
)
from app.core.database.session import Database
from app.core.security.passwords import UNUSABLE_PASSWORD, hash_password, verify_password
from app.core.time.clock import utc_now
from app.models.metadata import all_tables
from app.models.tables import USER
from app.models.users import Role, User
from app.services.operations import demo
from app.services.users import first_admin
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.factories import PASSWORD

OWN = {"FIRST_ADMIN_EMAIL": "ada@example.com", "FIRST_ADMIN_PASSWORD": PASSWORD}
PRODUCTION = {**OWN, "ENVIRONMENT": "production"}


@pytest.fixture
def start(db_url) -> Callable[..., User | None]:
    """Return a function that runs the start with the given settings."""

    def ensure(**settings: str) -> User | None:
        with (
            closing(Database(settings_for(db_url, **settings))) as database,
            database.write_transaction("test") as session,
        ):
            return first_admin.ensure(session, at=utc_now())

    return ensure


def test_an_empty_database_gets_the_admin_of_the_settings(start):
    ada = start(**OWN)

    assert (ada.email, ada.role, ada.is_active) == ("ada@example.com", Role.admin, True)
    assert verify_password(PASSWORD, ada.password_hash)


@pytest.mark.parametrize("email", ["chef@firma.local", "chef@intranet"])
def test_the_first_admin_may_be_one_of_the_company_network(start, email):
    assert start(**OWN | {"FIRST_ADMIN_EMAIL": email}).email == email


def test_the_first_admin_is_nobody_elses_mailbox_in_another_spelling(start, people):
    people.manager("Mia", email="mia@münchen.de")

    with pytest.raises(InvalidSettings, match=r"^FIRST_ADMIN_EMAIL belongs to a user who is not an admin"):
        start(**OWN | {"FIRST_ADMIN_EMAIL": "mia@xn--mnchen-3ya.de"})


def test_where_there_is_an_admin_there_comes_no_other(start, people):
    people.admin("Abe")

    assert start(**OWN) is None


def test_people_without_an_admin_get_one(start, people):
    """This is the case after the demo command on an empty database."""
    people.manager("Mia")

    assert start(**OWN).email == "ada@example.com"


def test_five_starts_at_once_make_one_admin(start, database):
    with ThreadPoolExecutor(5) as machines:
        made = list(machines.map(lambda _: start(**OWN), range(5)))

    with database.read_transaction() as session:
        assert session.execute(select(USER.c.email)).scalars().all() == ["ada@example.com"]
    assert sum(admin is not None for admin in made) == 1


def test_an_email_that_an_employee_has_is_refused(start, people):
    people.employee("Ada")

    with pytest.raises(InvalidSettings, match=r"^FIRST_ADMIN_EMAIL belongs to a user who is not an admin"):
        start(**OWN)


def test_a_weak_password_is_refused(start):
    with pytest.raises(InvalidSettings, match=r"^FIRST_ADMIN_PASSWORD is too weak") as refused:
        start(FIRST_ADMIN_PASSWORD="password1234")

    assert "password1234" not in str(refused.value)


def test_a_database_with_the_published_password_does_not_go_to_production(start):
    """Threats 16."""
    start()

    with pytest.raises(InvalidSettings, match=r"^admin@example.com still has a published password"):
        start(**PRODUCTION)


@pytest.mark.parametrize("since", [{"email": "ada@example.com", "email_key": "ada@example.com"}, {"role": "employee"}])
def test_nor_does_it_under_another_email_or_in_another_role(start, database, people, since):
    start()
    people.admin("Abe")
    with database.write_transaction("test") as session:
        session.execute(update(USER).where(USER.c.email == DEFAULT_ADMIN_EMAIL).values(since))

    with pytest.raises(InvalidSettings, match="still has a published password"):
        start(**PRODUCTION)


def test_a_demo_company_does_not_go_to_production_with_its_published_password(few_days, start, database, people):
    """It has no admin. Its managers read everyone's hours."""
    options = {"force": False, "at": utc_now(), "on_progress": lambda done, total: None}
    with database.write_transaction("test") as session:
        demo.build(session, password_hash=hash_password(demo.PASSWORD), **options)

    with pytest.raises(InvalidSettings, match=r"@example.com still has a published password"):
        start(**PRODUCTION)

    people.admin("Abe")
    with pytest.raises(InvalidSettings, match=r"@example.com still has a published password"):
        start(**PRODUCTION)


def test_it_goes_to_production_once_the_account_with_that_password_is_deactivated(start, database, people):
    start()
    people.admin("Abe")
    with database.write_transaction("test") as session:
        session.execute(update(USER).where(USER.c.email == DEFAULT_ADMIN_EMAIL).values(is_active=False))

    assert start(**PRODUCTION) is None


def test_an_admin_who_has_no_password_yet_keeps_nobody_from_starting(start, database, people):
    people.admin("Abe")
    with database.write_transaction("test") as session:
        session.execute(update(USER).values(password_hash=UNUSABLE_PASSWORD))

    assert start(**PRODUCTION) is None


@pytest.fixture
def locked_file(tmp_path):
    """A new SQLite file that another process has locked: its connection, and the settings of our start."""
    with closing(sqlite3.connect(tmp_path / "new.db")) as other:
        other.execute("PRAGMA user_version = 1")
        other.execute("BEGIN IMMEDIATE")
        yield other, settings_for(f"sqlite:///{tmp_path / 'new.db'}", DB_LOCK_TIMEOUT_SECONDS=1)


def test_a_start_waits_for_another_one_that_makes_the_same_file(locked_file):
    other, settings = locked_file
    with open_database(settings) as database:
        event.listen(database.engine, "handle_error", lambda failure: other.rollback())

        ensure_schema(database, all_tables())

        assert detect_schema_state(database) is SchemaState.current


@pytest.fixture
def newer(database):
    """A database migrated by a newer version. The fixture is a function that runs more statements on it."""

    def change(*statements: str) -> Database:
        with database.write_transaction("newer") as session:
            for statement in ("UPDATE alembic_version SET version_num = '2999_from_the_future'", *statements):
                session.execute(text(statement))
        return database

    return change


def test_an_old_worker_that_is_restarted_in_a_rolling_upgrade_starts_on_the_newer_schema(newer, people):
    """The start leaves the schema unchanged, and `migrate` still rejects it."""
    upgraded = newer(
        "ALTER TABLE project ADD COLUMN colour TEXT DEFAULT 'blue' NOT NULL", "CREATE TABLE absence (id INT)"
    )

    ensure_schema(upgraded, all_tables())

    assert people.project("Website").id
    with pytest.raises(UnknownSchema, match="use the newer version that migrated it"):
        migrate(upgraded)


@pytest.mark.parametrize(
    "statement", ["ALTER TABLE api_token RENAME COLUMN token_hash TO hash", "ALTER TABLE api_token RENAME TO token"]
)
def test_an_old_worker_refuses_a_newer_schema_that_lacks_what_it_needs(newer, statement):
    changed = newer(statement)

    with pytest.raises(UnknownSchema):
        ensure_schema(changed, all_tables())


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_an_old_worker_refuses_a_newer_schema_that_asks_for_values_it_does_not_know(newer):
    changed = newer("ALTER TABLE project ADD COLUMN colour TEXT NOT NULL")

    with pytest.raises(UnknownSchema):
        ensure_schema(changed, all_tables())


def test_a_file_that_stays_locked_is_told_in_one_line(locked_file):
    _, settings = locked_file

    with (
        pytest.raises(
            UnusableDatabase, match=r"^The database of DB_URL can't be used: database is locked \(sqlite:///.+\)$"
        ),
        open_database(settings) as database,
    ):
        ensure_schema(database, all_tables())
