"""The previous release works on the schema of this release (F10)."""

from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest
from sqlalchemy import select

from app.core.database.migrations import SchemaState, current_revisions, detect_schema_state, migrate
from app.core.database.session import Database
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from app.models.tables import ENTRY
from tests.faults.response_comparison import comparable_content, includes
from tests.support.cli import empty_database
from tests.support.credentials import create_login_session
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.factories import Company
from tests.support.migrations import run_alembic
from tests.support.openapi_operations import Operation
from tests.support.releases import extract_previous_release, run_command_of, start_migration
from tests.support.server_process import ROOT, TLS, Backend

pytestmark = [pytest.mark.system, pytest.mark.high_volume]  # runs code of another release
SECONDS = 60
ANONYMOUS = "anonymous"


class RunningRelease:
    """A running release on a database with this release's schema, and its users."""

    def __init__(self, db_url, backend):
        self._database = Database(settings_for(db_url))
        migrate(self._database)
        self._signer = TokenSigner(self._database.settings)
        self._users = _create_data(Company(self._database))
        self._client = httpx.Client(base_url=backend.base_url, verify=TLS, timeout=SECONDS)

    def operations(self):
        document = self._client.get("/openapi.json").json()
        return [
            Operation(method.upper(), path, definition, document["components"]["schemas"])
            for path, of in document["paths"].items()
            for method, definition in of.items()
        ]

    def answer(self, operation, name):
        """Return the response to a user in a new login session, because some operations end it, or without a login."""
        self._client.headers.pop("Authorization", None)
        if name != ANONYMOUS:
            login_session = create_login_session(self._database, self._users[name])
            token = self._signer.sign(login_session.user_id, login_session.session_id, at=utc_now())
            self._client.headers["Authorization"] = f"Bearer {token}"
        return operation.send(self)

    def at_root(self, method, address, **options):
        return self._client.request(method, address, **options)

    def close(self):
        self._client.close()
        self._database.close()


@pytest.fixture
def previous(tmp_path):
    """Return the folder of the previous release."""
    return extract_previous_release(tmp_path)


@pytest.fixture
def releases(previous, tmp_path, postgresql_server):
    """Run both releases. This release migrates the database of the previous one while that is running."""
    with ExitStack() as stack:
        installed = []
        for root in (previous, ROOT):
            db_url = stack.enter_context(empty_database(POSTGRESQL, tmp_path, postgresql_server))
            first = start_migration(root, db_url)
            output = first.communicate(timeout=SECONDS)
            assert first.returncode == 0, output
            backend = stack.enter_context(_run_release(db_url, tmp_path, root))
            installed.append(stack.enter_context(closing(RunningRelease(db_url, backend))))
        yield installed


def test_the_release_before_answers_everything_on_this_ones_schema_as_this_one_does(releases):
    """Every operation of the previous OpenAPI document, for all users: no 5xx, the same status, and the same fields.

    This release may return additional fields.
    """
    older, newer = releases
    operations = older.operations()
    differences, succeeded = [], set()
    for operation in operations:
        for name in ("Ana", "Mia", "Ada", ANONYMOUS):
            before, after = older.answer(operation, name), newer.answer(operation, name)
            if before.status_code < 300:
                succeeded.add(operation.name)
            if before.status_code >= 500 or before.status_code != after.status_code:
                differences.append((operation.name, name, before.status_code, after.status_code))
            elif not includes(comparable_content(after), comparable_content(before)):
                differences.append((operation.name, name, before.text, after.text))

    assert differences == []
    assert len(succeeded) > 45  # of 67; the examples of the others are rejected by both releases


def test_the_release_before_starts_on_this_ones_schema(previous, db_url, tmp_path):
    """A worker may restart during a rolling upgrade, or an operator may go back to the previous release."""
    with _run_release(db_url, tmp_path, previous) as backend, closing(RunningRelease(db_url, backend)) as older:
        (own_entries,) = (each for each in older.operations() if each.name == "GET /api/v1/time-entries")

        assert older.answer(own_entries, "Ana").status_code == 200


def test_a_backup_that_the_release_before_made_comes_back(
    previous, run_cli, empty_url, engine, tmp_path, postgresql_server
):
    with empty_database(engine, tmp_path, postgresql_server) as db_url:
        run_command_of(previous, db_url, "migrate")
        with closing(Database(settings_for(db_url))) as database:
            with database.engine.connect() as connection:
                (revision,) = current_revisions(connection)
            migrate(database)  # this release creates the data
            _create_data(Company(database))
            run_alembic(database, "downgrade", revision)
            then = _hours(database)
        run_command_of(previous, db_url, "backup", str(tmp_path / "old"))

    restored = run_cli("restore", "--skip-verification", str(tmp_path / "old"), DB_URL=empty_url)

    assert restored.exit_code == 0
    with closing(Database(settings_for(empty_url))) as database:
        assert detect_schema_state(database) is SchemaState.current
        assert (_hours(database), len(then)) == (then, 10)


def _hours(database):
    columns = [column for column in ENTRY.c if column.name != "timesheet_id"]  # the release before has none
    with database.read_transaction() as session:
        return session.execute(select(*columns).order_by(ENTRY.c.id)).all()


def _create_data(company):
    """Create entries for all users in the period of the document's examples."""
    ada, mia = company.admin("Ada"), company.manager("Mia")
    ana = company.employee("Ana", manager=mia, time_zone="Europe/Lisbon")
    website = company.project("Website")
    company.project("Intern", members=(mia,))
    for day in range(2, 7):
        company.entry(ana, website, f"2026-03-0{day} 08:00", f"2026-03-0{day} 12:30", description="Überstunden")
        company.entry(mia, website, f"2026-03-0{day} 22:00", f"2026-03-0{day} 23:00", description="=1+1")
    return {"Ana": ana, "Mia": mia, "Ada": ada}


@contextmanager
def _run_release(db_url, folder, root):
    backend = Backend(db_url, folder, root=root)
    try:
        yield backend
    finally:
        backend.kill()  # not stop(), which searches the log for secrets: in development, e-mails are printed there
