"""HEAD where GET is: the same status and headers, no body, and no export (RFC 9110, section 9.3.2)."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text

from tests.support.audit_asserts import AuditLog
from tests.support.databases import POSTGRESQL
from tests.support.lock_waits import count_waiting, wait_until
from tests.support.metrics import Scrape
from tests.support.openapi_operations import OPERATIONS

READS = [each for each in OPERATIONS if each.method == "GET"]
EXPORTS = [each for each in READS if "export" in each.path or each.path.endswith("/payroll")]
OF_THE_FILE = {"content-length", "transfer-encoding"}
"""Headers that HEAD of an export leaves out, because no file is made."""
METRICS = next(each for each in READS if each.path == "/metrics")
VARYING = {"date", "x-request-id", "ratelimit", "x-as-of"}
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


@pytest.fixture
def company(people, ada, mia, ana, website):
    """Create what the examples of the document name: the first user, project and entry."""
    people.entry(ada, website, "2026-03-02 08:00", "2026-03-02 12:00", needs_review=True)


def send(method, operation, client):
    operation = type(operation)(method, operation.path, operation.definition)
    return operation.send(client)


@pytest.mark.parametrize("read", READS, ids=lambda each: each.name)
def test_head_has_the_status_and_the_headers_of_get_and_no_body(company, admin, read):
    head, got = send("HEAD", read, admin), send("GET", read, admin)

    assert head.content == b""
    assert head.status_code == got.status_code
    made_meanwhile = VARYING | (OF_THE_FILE if read in [*EXPORTS, METRICS] else set())
    assert {name: value for name, value in head.headers.items() if name not in made_meanwhile} == {
        name: value for name, value in got.headers.items() if name not in made_meanwhile
    }
    assert head.headers.keys() - got.headers.keys() == set()


@pytest.mark.parametrize("export", EXPORTS, ids=lambda each: each.name)
def test_a_head_of_an_export_records_nothing_because_no_data_leaves(server, company, admin, export):
    audit_log = AuditLog(server.database)

    head = send("HEAD", export, admin)

    assert (head.status_code, audit_log.new_events()) == (200, [])
    assert head.headers["Content-Type"]
    assert head.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "Content-Length" not in head.headers, "it is unknown until the file is made"


@pytest.mark.parametrize("attribution", ["start", "split"])
@pytest.mark.parametrize("export", ["csv", "xlsx", "json"])
def test_a_head_of_an_export_counts_the_entries_of_its_file_that_need_review(
    people, as_user, mia, ana, bob, website, export, attribution
):
    people.entry(ana, website, "2026-03-30 08:00", "2026-04-02 08:00", needs_review=True)
    people.entry(people.employee("Eve", manager=mia), website, "2026-03-09 08:00", None)
    people.entry(ana, website, "2026-04-05 08:00", "2026-04-08 08:00", needs_review=True)
    people.entry(bob, website, "2026-03-05 08:00", "2026-03-08 08:00", needs_review=True)

    head = as_user(mia).head(f"/reports/export/{export}", params=MARCH | {"attribution": attribution})

    assert (head.status_code, head.headers.get("X-Needs-Review")) == (200, "2")


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_head_of_an_export_counts_on_a_permit_of_the_reports(server, as_user, anonymous, mia, engine):
    manager = as_user(mia)

    with server.database.write_transaction() as other, ThreadPoolExecutor(1) as pool:
        other.execute(text("LOCK TABLE time_entry IN ACCESS EXCLUSIVE MODE"))
        head = pool.submit(manager.head, "/reports/export/csv", params=MARCH)
        wait_until(lambda: count_waiting(server, engine) == 1)
        running = Scrape(anonymous.at_root("GET", "/metrics"))
        other.rollback()

    assert head.result().status_code == 200
    assert running("ett_requests_running", limiter="reports") == 1


@pytest.mark.parametrize("export", ["csv", "xlsx", "json"])
def test_a_head_of_an_export_is_refused_to_whom_the_export_is(as_user, ana, mia, export):
    everybodys = MARCH | {"scope": "all"}

    assert as_user(ana).head(f"/reports/export/{export}", params=MARCH).status_code == 403
    assert as_user(mia).head(f"/reports/export/{export}", params=MARCH).status_code == 200
    assert as_user(mia).head(f"/reports/export/{export}", params=everybodys).status_code == 403


def test_a_head_of_a_timesheet_is_404_to_whom_the_timesheet_is(as_user, ana, mia):
    of_mia = {"month": "2026-03", "user_id": mia.id}

    assert as_user(mia).head("/reports/export/pdf", params=of_mia).status_code == 200
    assert as_user(ana).head("/reports/export/pdf", params=of_mia).status_code == 404


def test_a_connection_serves_on_after_a_head(server, ada):
    """A body after the headers would be taken as the start of the next response."""
    headers = {"Authorization": f"Bearer {server.token(ada)}"}
    with httpx.Client(base_url=server.base_url, headers=headers) as client:
        statuses = [
            client.request(method, path).status_code
            for path in ("/", "/health/live", "/api/v1/nowhere", "/api/v1/admin/users/export/csv", "/docs")
            for method in ("HEAD", "GET", "HEAD")
        ]

    assert statuses == [200] * 6 + [404] * 3 + [200] * 6


def test_a_head_is_logged_and_counted_as_head(anonymous):
    anonymous.at_root("HEAD", "/health/live")
    current = Scrape(anonymous.at_root("GET", "/metrics"))

    assert current("ett_http_requests_total", method="HEAD", route="/health/live", status="200") >= 1
