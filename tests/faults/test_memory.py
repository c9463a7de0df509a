"""The memory of a worker process does not grow with the entries of one user, whatever is read (threats F6)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.core.database.session import Database
from app.services.reports.user_days import MAX_ENTRIES
from benchmarks.memory import PeakMemory
from tests.support.databases import ENGINES, fresh_database, settings_for
from tests.support.factories import Company
from tests.support.in_process_server import Server, openapi_document
from tests.support.long_record import add_changes, add_long_record, days_of
from tests.support.server_process import TLS, Backend

pytestmark = pytest.mark.slow
MAX_MEGABYTES = 60
ENTRIES = int(os.environ.get("MEMORY_ENTRIES", "100000"))
CHANGES = ENTRIES // 5
YEAR = {"start_date": "2026-01-01", "end_date": "2026-12-31"}
ONE_DAY = {"start_date": "2025-12-01", "end_date": "2025-12-01"}
TOO_MANY = (422, "too_many_entries", 0)
DAYS = days_of(ENTRIES)
LARGEST = "\N{RED APPLE}" * 2000
PAGE = 1000
SEGMENTS = ENTRIES + DAYS - 1

MIA, ZOE, ADA = "Mia", "Zoe", "Ada"
OPERATIONS: list[tuple[str, str, dict[str, Any], tuple[int, str, int]]] = [
    (MIA, "/time-entries/me", YEAR, (200, "", ENTRIES)),
    (MIA, "/time-entries/me", YEAR | {"attribution": "split"}, (200, "", SEGMENTS)),
    (MIA, "/time-entries/{entry_id}/history", {}, (200, "", CHANGES)),
    (MIA, "/reports/me", YEAR, TOO_MANY),
    (MIA, "/reports/me", YEAR | {"attribution": "split"}, TOO_MANY),
    (ZOE, "/reports/me", YEAR, (200, "", MAX_ENTRIES)),
    (ZOE, "/reports/me", YEAR | {"start_date": "2025-11-30"}, TOO_MANY),
    (ADA, "/reports/team", YEAR, (200, "", ENTRIES)),
    (ADA, "/reports/team", YEAR | {"attribution": "split"}, (200, "", SEGMENTS)),
    (ADA, "/reports/team", YEAR | {"include_entries": "false"}, (200, "", 0)),
    (MIA, "/reports/summary", YEAR | {"group_by": "user,project,day"}, (200, "", DAYS)),
    (MIA, "/reports/export/pdf", {"month": "2026-03"}, TOO_MANY),
    (ZOE, "/reports/export/pdf", {"month": "2026-03"}, (200, "", 0)),
    (ADA, "/reports/export/csv", YEAR | {"columns": "full"}, (200, "", 0)),
    (ADA, "/reports/export/xlsx", YEAR, (200, "", 0)),
    (ADA, "/reports/export/json", YEAR, (200, "", ENTRIES)),
]
"""Each operation that reads entries without pages: who asks for what, and the status, code and number of its items."""
OTHERS = {
    "/", "/health/live", "/health/ready", "/metrics",
    "/auth/me", "/auth/me/export", "/auth/sessions", "/auth/api-tokens", "/auth/api-tokens/{token_id}", "/auth/totp",
    "/time-entries/current", "/time-entries/{entry_id}", "/reports/todo",
    "/reports/payroll", "/reports/payroll/changes",
    "/timesheets/me", "/timesheets/{user_id}/{first_day}", "/timesheets/{user_id}/{first_day}/history",
    "/admin/users/export/csv", "/admin/users/{user_id}", "/admin/projects/{project_id}",
    "/admin/timesheet-rules", "/admin/lock",
}  # fmt: skip
"""The other operations without pages. They return one row or a limited number, or have a test of their own."""


@dataclass(frozen=True)
class LongRecord:
    """The service in its own process, with the tokens of Mia, who has the entries, and of Ada, who manages her.

    Zoe has as many entries as a personal report may have, and one before the year.
    """

    backend: Backend
    tokens: dict[str, str]
    entry_id: int
    zoe_id: int

    def read(self, reader: str, path: str, params: dict[str, Any]) -> tuple[int, str, int]:
        """Return the status, the code of a problem, and how many entries, changes or groups the response has."""
        header = {"Authorization": f"Bearer {self.tokens[reader]}"}
        url = f"{self.backend.base_url}/api/v1{path.format(entry_id=self.entry_id)}"
        count, rest, item = 0, b"", _item(path)
        with httpx.stream("GET", url, params=params, headers=header, timeout=600, verify=TLS) as answer:
            if answer.status_code != 200:
                return answer.status_code, str(httpx.Response(200, content=answer.read()).json()["code"]), 0
            for chunk in answer.iter_raw():
                text = rest + chunk
                count += text.count(item)
                rest = text[-len(item) + 1 :]
        return 200, "", count


@pytest.fixture(scope="module", params=ENGINES)
def long_record(request, tmp_path_factory, postgresql_server, templates) -> Iterator[LongRecord]:
    folder = tmp_path_factory.mktemp("long")
    with fresh_database(request.param, folder, postgresql_server, templates) as db_url:
        database = Database(settings_for(db_url))
        people = Company(database)
        ada, website = people.admin("Ada"), people.project("Website")
        mia = people.manager("Mia", manager=ada)
        first = people.entry(mia, website, "2025-11-30 08:00", "2025-11-30 09:00")
        assert mia.id is not None and website.id is not None
        zoe = people.employee("Zoe")
        zoes = people.entry(zoe, website, "2025-11-30 08:00", "2025-11-30 09:00")
        assert zoe.id is not None
        add_long_record(database, mia.id, website.id, ENTRIES)
        add_long_record(database, zoe.id, website.id, MAX_ENTRIES)
        add_changes(database, first, mia.id, CHANGES)
        add_changes(database, zoes, zoe.id, PAGE, description=LARGEST)
        database.close()
        server = Server(settings_for(db_url))
        backend = Backend(db_url, folder)
        yield LongRecord(
            backend, {MIA: server.token(mia), ZOE: server.token(zoe), ADA: server.token(ada)}, first, zoe.id
        )
        backend.stop()


@pytest.fixture(scope="module")
def megabytes_at_rest(long_record: LongRecord) -> float:
    """The memory of the service after each operation has returned a small response once."""
    for reader, path, params, _ in OPERATIONS:
        small = {"month": "2026-02"} if "month" in params else params | ONE_DAY
        if not path.endswith("history"):
            status, *_ = long_record.read(reader, path, small)
            assert status == 200
    peak = PeakMemory(long_record.backend.pid)
    peak.reset()
    return peak.megabytes()


@pytest.mark.parametrize(("reader", "path", "params", "expected"), OPERATIONS, ids=str)
def test_the_entries_of_one_user_do_not_fill_the_memory(long_record, megabytes_at_rest, reader, path, params, expected):
    peak = PeakMemory(long_record.backend.pid)
    peak.reset()

    answer = long_record.read(reader, path, params)

    assert answer == expected
    assert peak.megabytes() - megabytes_at_rest < MAX_MEGABYTES


def test_a_page_of_the_largest_audit_events_does_not_fill_the_memory(long_record, megabytes_at_rest):
    """An event has a description of 8 KB before and after a change."""
    peak = PeakMemory(long_record.backend.pid)
    peak.reset()

    answer = long_record.read(ADA, "/admin/audit", {"limit": PAGE, "subject_id": long_record.zoe_id})

    assert answer == (200, "", PAGE)
    assert peak.megabytes() - megabytes_at_rest < MAX_MEGABYTES


def _item(path: str) -> bytes:
    """Return text that each entry, change or group of a response has once."""
    name = {"history": "request_id", "audit": "request_id", "json": "entry_id", "summary": "day"}.get(
        path.rpartition("/")[2], "needs_review"
    )
    return f'"{name}":'.encode()


def test_a_document_with_a_new_operation_without_pages_needs_a_row_here():
    paths = openapi_document()["paths"]
    unpaged = {
        path.removeprefix("/api/v1")
        for path, operations in paths.items()
        if "get" in operations and all(each["name"] != "limit" for each in operations["get"].get("parameters", []))
    }

    assert unpaged == OTHERS | {path for _, path, *_ in OPERATIONS}
