"""Fixtures of the fault tests: real processes on real databases."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.core.database.migrations import migrate
from app.core.database.session import Database
from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from app.models.users import User
from tests.support.credentials import create_login_session
from tests.support.databases import settings_for
from tests.support.factories import Company
from tests.support.postgresql import PostgreSQLServer
from tests.support.server_process import Backend
from tests.support.shared_services import SharedDatabase, SharedServices


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of `two_workers` one after another, so that one process of pytest-xdist starts the services."""
    items.sort(key=lambda item: "two_workers" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def shared_services(shared_folder: Path, postgresql_server: URL, templates: Path) -> Iterator[SharedServices]:
    """Return the services shared by all tests that use `two_workers` in this process."""
    services = SharedServices(lambda engine: SharedDatabase(engine, shared_folder, postgresql_server, templates))
    yield services
    services.close()


@pytest.fixture
def db_url(request: pytest.FixtureRequest, engine: str) -> str:
    """Return the DB_URL of an empty, migrated database; with `two_workers`, the database of that service."""
    if "two_workers" in request.fixturenames:
        services: SharedServices = request.getfixturevalue("shared_services")
        return services.reset(engine)
    return str(request.getfixturevalue("db_url"))


@pytest.fixture
def two_workers(engine: str, db_url: str, shared_folder: Path, shared_services: SharedServices) -> Backend:
    """Return a shared service with two worker processes. Tests may send requests to it, but not stop or kill it."""
    return shared_services.service(engine, shared_folder)


@pytest.fixture
def own_workers(db_url: str, tmp_path: Path) -> Iterator[Backend]:
    """Return a service with two worker processes that only this test uses, so the test may stop or kill it."""
    backend = Backend(db_url, tmp_path, workers=2)
    yield backend
    backend.stop()


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQLServer]:
    """Return a PostgreSQL server that only this test uses, so the test may kill or freeze it.

    Its data survive a crash.
    """
    server = PostgreSQLServer(durable=True)
    yield server
    server.stop()


@pytest.fixture
def own_db_url(own_postgresql: PostgreSQLServer) -> str:
    """Return the DB_URL of an empty, migrated database on `own_postgresql`."""
    url = own_postgresql.url.render_as_string(hide_password=False)
    with closing(Database(settings_for(url))) as database:
        migrate(database)
    return url


@pytest.fixture
def bearer(db_url: str, people: Company) -> Iterator[Callable[[User], dict[str, str]]]:
    """Return a function that makes the Authorization header with a user's access token."""
    settings = settings_for(db_url)
    signer, database = TokenSigner(settings), Database(settings)

    def header(user: User) -> dict[str, str]:
        login_session = create_login_session(database, user, is_recorded=people.records_events)
        return {"Authorization": f"Bearer {signer.sign(login_session.user_id, login_session.session_id, at=utc_now())}"}

    yield header
    database.close()
