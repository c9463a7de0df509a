"""Responses that their clients never read do not fill the memory of a worker process (threats F13)."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from urllib.parse import urlencode

import httpx
import psutil
import pytest
from sqlalchemy import insert, text

from app.api.http.large_responses import MAX_BYTES_IN_MEMORY, MAX_UNREAD
from app.core.database.session import Database
from app.core.pagination import MAX_OWN_ROWS
from app.models.tables import ENTRY
from tests.support.audit_tampering import DISABLE_TRIGGERS, RESTORE_TRIGGERS
from tests.support.databases import SQLITE, fresh_database, settings_for
from tests.support.factories import Company, instant
from tests.support.in_process_server import Server
from tests.support.server_process import TLS, Backend

pytestmark = pytest.mark.slow
ENTRIES = MAX_OWN_ROWS - 10
CLIENTS = 2 * MAX_UNREAD
MAX_MEGABYTES = 25
LONGEST = "🙂" * 2000
YEAR = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
MORE = pytest.mark.extended
REPORT_ROWS = YEAR | {"group_by": "user,project,day", "fill": "true"}
"""A row for each user, project and day, also without hours."""
OPERATIONS = [
    ("/time-entries/me", YEAR),
    pytest.param("/time-entries/me", YEAR | {"attribution": "split"}, marks=MORE),
    pytest.param("/time-entries/{entry_id}/history", {}, marks=MORE),
    pytest.param("/time-entries", {"limit": "1000"}, marks=MORE),
    pytest.param("/reports/me", YEAR, marks=MORE),
    pytest.param("/reports/team", YEAR | {"scope": "all"}, marks=MORE),
    pytest.param("/reports/summary", REPORT_ROWS, marks=MORE),
    ("/admin/audit", {"limit": "1000"}),
]
"""Operations whose responses have a megabyte or more, but too few rows to be streamed.

One middleware limits them all, so two of them are enough for each run.
"""


class Service:
    """A service in its own process. Ada has long entries, one of them with a long history."""

    def __init__(self, backend: Backend, token: str, entry_id: int) -> None:
        self._backend, self._header, self._entry_id = backend, {"Authorization": f"Bearer {token}"}, entry_id

    def get(self, path: str, params: dict[str, str]) -> httpx.Response:
        url = f"{self._backend.base_url}/api/v1{path.format(entry_id=self._entry_id)}"
        return httpx.get(url, params=params, headers=self._header, timeout=60, verify=TLS)

    def create(self, count: int) -> httpx.Response:
        """Create entries of one minute with long descriptions, in December 2025."""
        url = f"{self._backend.base_url}/api/v1/time-entries/bulk"
        entry = {"action": "create", "project_id": 1, "description": LONGEST}
        minutes = [f"2025-12-01T08:{minute:02}:00Z" for minute in range(count + 1)]
        times = [{"start_time": start, "end_time": end} for start, end in pairwise(minutes)]
        operations = [entry | each for each in times]
        return httpx.post(url, json={"operations": operations}, headers=self._header, timeout=60, verify=TLS)

    def begin(self, path: str, params: dict[str, str], stack: ExitStack) -> int:
        """Send a request and return the status of its response, whose body is not read."""
        address = httpx.URL(self._backend.base_url)
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(60)
        client.connect((address.host, address.port))
        target = f"/api/v1{path.format(entry_id=self._entry_id)}?{urlencode(params)}"
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in self._header.items()), "", ""]
        client.sendall("\r\n".join(lines).encode())
        return int(client.recv(12).split()[1])

    def megabytes(self) -> float:
        process = psutil.Process(self._backend.pid)
        processes = [process, *process.children(recursive=True)]
        return float(sum(each.memory_full_info().uss for each in processes)) / 1024**2


@pytest.fixture(scope="module", params=[SQLITE])
def service(request, tmp_path_factory, postgresql_server, templates) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("unread")
    with fresh_database(request.param, folder, postgresql_server, templates) as db_url:
        database = Database(settings_for(db_url))
        people = Company(database)
        ada, website = people.admin("Ada"), people.project("Website")
        for number in range(100):
            people.employee(f"Person {number}")
        first = people.entry(ada, website, "2026-02-27 08:00", "2026-02-27 09:00")
        _add_long_entries(database, ada.id, website.id)
        _add_long_changes(database, ada.id, first)
        database.close()
        token = Server(settings_for(db_url)).token(ada)
        backend = Backend(db_url, folder)
        yield Service(backend, token, first)
        backend.stop()


def _add_long_entries(database: Database, user_id: int, project_id: int) -> None:
    at = instant("2026-03-02 08:00")
    entry = {"user_id": user_id, "project_id": project_id, "start_time": at, "end_time": at, "description": LONGEST}
    entry |= {"time_zone": "UTC", "needs_review": False, "version": 1, "created_at": at, "updated_at": at}
    with database.write_transaction() as session:
        session.execute(insert(ENTRY), [entry] * ENTRIES)


def _add_long_changes(database: Database, user_id: int, entry_id: int) -> None:
    values = {"actor": user_id, "entry": entry_id, "fields": f'{{"description":"{LONGEST}"}}', "at": 1772000000}
    with database.write_transaction() as session:
        kind = database.settings.database_kind
        restore = session.scalars(text(RESTORE_TRIGGERS[kind])).all()
        for statement in session.scalars(text(DISABLE_TRIGGERS[kind])).all():
            session.execute(text(statement))
        session.execute(
            text(
                "INSERT INTO audit_event (chain_id, position, at, action, actor_id, object_type, object_id, before, "
                "after, request_id, key_id, link) VALUES (:actor, :position, :at, 'time_entry:change', :actor, "
                "'time_entry', :entry, :fields, :fields, 'r', 'key', 'link ' || :position)"
            ),
            [values | {"position": 1000 + number} for number in range(ENTRIES)],
        )
        for statement in restore:
            session.execute(text(statement))


@pytest.mark.parametrize(("path", "params"), OPERATIONS, ids=str)
def test_responses_that_nobody_reads_wait_in_files_and_a_user_has_few_of_them(service, path, params):
    sizes = {len(service.get(path, params).content) for _ in range(3)}
    before = service.megabytes()

    with ExitStack() as stack:
        statuses = Counter(service.begin(path, params, stack) for _ in range(CLIENTS))
        growth = service.megabytes() - before

    assert min(sizes) > 1024**2
    assert growth < MAX_MEGABYTES
    assert statuses == {200: MAX_UNREAD, 503: CLIENTS - MAX_UNREAD}


def test_a_write_that_was_committed_is_answered_however_much_is_unread(service):
    """After a 503 its client would repeat it."""
    with ExitStack() as stack:
        statuses = {service.begin("/time-entries", {"limit": "1000"}, stack) for _ in range(MAX_UNREAD)}
        refused = service.get("/time-entries", {"limit": "1000"})
        written = service.create(12)

    assert statuses == {200}
    assert (refused.status_code, refused.json()["code"]) == (503, "service_busy")
    assert written.status_code == 200
    assert len(written.content) > MAX_BYTES_IN_MEMORY
