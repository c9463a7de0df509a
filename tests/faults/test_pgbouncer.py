"""The service behind PgBouncer in transaction mode, where each transaction may use another connection."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.services.audit.verification import verify
from tests.faults.pgbouncer import run_pgbouncer
from tests.support.concurrency import Call, send_in_parallel
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.factories import Company
from tests.support.in_process_server import run_server
from tests.support.times import NOW, hour_entry

pytestmark = pytest.mark.system

STAFF = 30
PERIOD = {"start_date": str(NOW.date() - timedelta(days=30)), "end_date": str(NOW.date())}
REPORTS = {"team": {}, "summary": {"group_by": "user"}, "export/csv": {}, "export/xlsx": {}, "export/json": {}}


@pytest.fixture
def server(db_url):
    with (
        run_pgbouncer(make_url(db_url)) as url,
        run_server(settings_for(url.render_as_string(hide_password=False))) as running_server,
    ):
        yield running_server


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_company_punches_and_reports_through_a_pooler_with_three_connections(server, as_user, engine):
    company = Company(server.database)
    mia, website = company.manager("Mia"), company.project("Website")
    staff = [company.employee(f"Person {number}", manager=mia) for number in range(STAFF)]
    tokens = {user.id: {"Authorization": f"Bearer {server.token(user)}"} for user in staff}

    answers = send_in_parallel([_day_of_calls(server, tokens[user.id], website, user.id) for user in staff])

    statuses = [tuple(answer.status_code for answer in of_client) for of_client in answers]
    assert Counter(statuses) == {(200, 200, 201, 201, 200): STAFF}
    assert all(first.json() == repeated.json() for _, _, first, repeated, _ in answers)
    with as_user(mia) as her:
        for report, params in REPORTS.items():
            assert her.get(f"/reports/{report}", params=PERIOD | params).status_code == 200, report
        assert her.get("/reports/export/csv", params=PERIOD).text.count("By hand") == STAFF
    with server.database.read_transaction() as session:
        verify(session, [], on_progress=lambda done, total: None)
        assert session.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0


def _day_of_calls(server, header, website, number):
    """Return a clock-in, a clock-out, an entry that is sent twice, and a read of all entries."""
    by_hand = _call(server, header, "/time-entries", hour_entry(website, number, description="By hand"), key="k")
    return [
        _call(server, header, "/time-entries/clock-in", {"project_id": website.id, "description": ""}),
        _call(server, header, "/time-entries/clock-out"),
        by_hand,
        by_hand,
        Call("GET", f"{server.base_url}/api/v1/time-entries/me", header, None, PERIOD),
    ]


def _call(server, header, path, body=None, key=None):
    headers = header if key is None else header | {"Idempotency-Key": key}
    return Call("POST", f"{server.base_url}/api/v1{path}", headers, body)
