"""GET /metrics: counters, labels, the database probe and the token."""

import re
import uuid

import pytest
from sqlalchemy import text

from app import __version__
from app.core.database.migrations import ROOT
from app.core.time.clock import utc_now
from tests.support.databases import ENGINES, POSTGRESQL, TEMPLATE, settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server
from tests.support.metrics import Scrape
from tests.support.openapi_operations import OPERATIONS
from tests.support.postgresql import execute

TOKEN = "of-whoever-scrapes-the-metrics-4d7b"
HOURS = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


@pytest.fixture
def scrape(anonymous):
    return lambda: Scrape(anonymous.at_root("GET", "/metrics"))


@pytest.fixture
def increase(scrape):
    """Return a counter's increase since the start of the test."""
    before = scrape()
    return lambda name, **labels: scrape()(name, **labels) - before(name, **labels)


@pytest.fixture(autouse=True)
def stop_shared_servers(shared_servers):
    """Stop them, because metrics are those of the whole process."""
    for engine in ENGINES:
        shared_servers(engine).close()


def test_requests_are_counted_by_method_route_and_status(as_user, ana, anonymous, increase):
    for entry_id in ("1", "2", "me"):
        as_user(ana).get(f"/time-entries/{entry_id}")
    anonymous.get("/time-entries/3")
    as_user(ana).post("/time-entries/clock-in", content=b"x" * 2_000_000)

    entry = {"method": "GET", "route": "/time-entries/{entry_id}"}
    assert increase("ett_http_requests_total", **entry, status="404") == 2
    assert increase("ett_http_requests_total", **entry, status="401") == 1
    assert increase("ett_http_requests_total", method="GET", route="/time-entries/me", status="422") == 1
    assert increase("ett_http_requests_total", method="POST", route="unmatched", status="413") == 1
    assert increase("ett_http_request_duration_seconds_count", route="/time-entries/{entry_id}") == 3
    assert increase("ett_error_responses_total", status="404", code="entry_not_found") == 2


def test_no_label_holds_what_somebody_sent(server, as_user, ada, anonymous, scrape):
    """Call every operation with recognizable ids and texts, then some paths and methods that do not exist."""
    admin, before = as_user(ada), scrape()
    marks = {"{entry_id}": "4711", "{user_id}": "4712", "{project_id}": "4713"}
    for operation in OPERATIONS:
        address = re.sub(r"\{\w+\}", lambda found: marks.get(found[0], "4714"), operation.path)
        admin.at_root(operation.method, address, params={"search": "nora@example.com"}, json={"id": 4715})
    for method, address in (("GET", "/time-entries/4716/nora"), ("TRACE", "/auth/me"), ("PROPFIND", "/4717")):
        anonymous.request(method, address)

    metrics = {sample for sample, value in scrape().items() if value != before.get(sample)}

    patterns = {operation.path for operation in OPERATIONS}
    for name, labels in metrics:
        for label, value in labels:
            assert "471" not in value
            assert "nora" not in value.lower()
            match label:
                case "route":
                    of_api = {value, f"/api/v1{value}"} & patterns
                    assert of_api or value in {"unmatched", "/docs", "/openapi.json"}, value
                case "method":
                    assert value in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"}
                case "status":
                    assert re.fullmatch(r"[2-5]\d\d|aborted|truncated", value)
                case "le" | "version":
                    assert re.fullmatch(r"[\d.]+|\+Inf", value)
                case _:
                    assert re.fullmatch("[a-z_]+", value), (name, label, value)


def test_what_was_rolled_back_is_not_counted_as_an_event(as_user, ana, website, increase):
    me = as_user(ana)

    accepted, refused = me.clock_in(website.id), me.clock_in(website.id)

    assert (accepted.status_code, refused.status_code) == (200, 409)
    assert increase("ett_audit_events_total", object_type="time_entry") == 1


def test_failed_logins_are_counted_by_reason_and_their_events_too(people, anonymous, server, increase):
    people.employee("Ana")
    wrong = {"username": "ana@example.com", "password": "not her password"}

    codes = [anonymous.post("/auth/login", data=wrong).status_code for _ in range(11)]

    server.wait_for_background()
    assert codes == [401] * 10 + [429]
    assert increase("ett_login_failures_total", reason="wrong") == 10
    assert increase("ett_login_failures_total", reason="limited") == 1
    assert increase("ett_audit_events_total", object_type="login") == 1
    anonymous.post("/auth/login", data=wrong | {"username": "mia@example.com", "password": PASSWORD})
    assert increase("ett_login_failures_total", reason="wrong") == 11


def test_the_rows_of_an_export_are_counted(people, as_user, mia, ana, website, increase):
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
    people.entry(ana, website, "2026-03-02 13:00", "2026-03-02 17:00")

    file = as_user(mia).get("/reports/export/json", params=HOURS)

    assert len(file.text.splitlines()) == 2
    assert increase("ett_export_rows_total", format="json") == 2


def test_open_entries_are_looked_up_at_a_scrape_and_not_at_each(people, as_user, ana, bob, website, scrape):
    people.entry(bob, website, "2026-03-02 08:00", None)
    as_user(ana).clock_in(website.id)

    first = scrape()
    as_user(ana).clock_out()
    second = scrape()

    for metrics in (first, second):
        assert metrics("ett_open_entries") == 2
        assert metrics("ett_open_entries_needing_review") == 1
        assert (metrics("ett_database_up"), metrics("ett_ready")) == (1, 1)


def test_slots_connections_and_what_serves_are_shown(server, scrape, engine):
    metrics = scrape()

    settings = server.settings
    assert metrics("ett_concurrency_limit", limiter="requests") >= settings.DB_POOL_SIZE
    assert metrics("ett_concurrency_limit", limiter="reports") >= settings.MAX_CONCURRENT_REPORTS
    assert metrics("ett_pool_connections") >= settings.DB_POOL_SIZE + settings.MAX_CONCURRENT_REPORTS
    assert (
        metrics("ett_requests_running", limiter="requests"),
        metrics("ett_requests_queued", limiter="requests"),
    ) == (
        0,
        0,
    )
    assert metrics("ett_pool_connections_in_use") == 0
    assert metrics("ett_workers") == 1
    assert 0 <= utc_now().timestamp() - metrics("ett_last_worker_start_time_seconds") < 60
    assert metrics("ett_disk_free_bytes", volume="temporary") > metrics("ett_disk_min_free_bytes") > 0
    assert metrics("ett_build_info", version=__version__, database=engine) == 1


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_database_that_hangs_holds_no_scrape_up(db_url):
    """The lock is held until the response arrives, and statements may wait for a minute."""
    patient = settings_for(db_url, DB_LOCK_TIMEOUT_SECONDS=60, DB_STATEMENT_TIMEOUT_SECONDS=60)
    with run_server(patient) as server, server.caller() as anonymous, server.database.write_transaction() as session:
        session.execute(text("LOCK TABLE time_entry IN ACCESS EXCLUSIVE MODE"))

        metrics = Scrape(anonymous.at_root("GET", "/metrics"))

    assert (metrics("ett_database_up"), metrics("ett_ready")) == (0, 0)
    assert metrics("ett_workers") == 1
    assert "ett_open_entries" not in {name for name, _ in metrics}


def test_a_database_that_is_gone_shows_and_what_it_answers_is_counted(postgresql_server):
    name = f"ett_{uuid.uuid4().hex}"
    execute(postgresql_server, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    url = postgresql_server.set(database=name).render_as_string(hide_password=False)
    with run_server(settings_for(url)) as server, server.caller() as anonymous:
        execute(postgresql_server, f'DROP DATABASE "{name}" WITH (FORCE)')
        before = Scrape(anonymous.at_root("GET", "/metrics"))
        assert anonymous.at_root("GET", "/health/live").status_code == 200
        assert anonymous.at_root("GET", "/health/ready").status_code == 503

        metrics = Scrape(anonymous.at_root("GET", "/metrics"))

    assert (metrics("ett_database_up"), metrics("ett_ready")) == (0, 0)
    of_database = {"status": "503", "code": "database_unavailable"}
    assert metrics("ett_error_responses_total", **of_database) - before("ett_error_responses_total", **of_database) == 1
    assert metrics("ett_pool_connections_in_use") == 0


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("sent", ["", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"bearer{TOKEN}", "Bearer \xfc", TOKEN])
def test_without_the_token_the_metrics_are_refused(db_url, sent):
    with run_server(settings_for(db_url, METRICS_TOKEN=TOKEN)) as server, server.caller() as anonymous:
        refused = anonymous.at_root("GET", "/metrics", headers={"Authorization": sent.encode("latin-1")})

    assert (refused.status_code, refused.json()["code"]) == (401, "metrics_token_required")
    assert "ett_" not in refused.text


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_where_others_can_reach_the_service_it_has_metrics_only_with_a_token(db_url):
    exposed = {"ENVIRONMENT": "production", "FIRST_ADMIN_PASSWORD": PASSWORD}
    with run_server(settings_for(db_url, **exposed)) as server, server.caller() as anonymous:
        assert anonymous.at_root("GET", "/metrics").json()["code"] == "route_not_found"
    with run_server(settings_for(db_url, **exposed, METRICS_TOKEN=TOKEN)) as server, server.caller() as anonymous:
        ada = {"Authorization": f"Bearer {server.token(Company(server.database).admin('Ada'))}"}
        assert anonymous.at_root("GET", "/metrics", headers=ada).status_code == 401
        assert Scrape(anonymous.at_root("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))


def test_alerts_and_their_documentation_name_only_metrics_that_are_served(anonymous):
    served = set(re.findall(r"^# TYPE (\w+)", anonymous.at_root("GET", "/metrics").text, re.MULTILINE))
    rules, manual = ((ROOT / path).read_text() for path in ("deploy/prometheus/alerts.yml", "docs/operations.md"))

    named = {re.sub("_bucket$", "", name) for name in re.findall(r"\bett_[a-z_]+[a-z]\b", rules)}

    assert len(named) > 10
    assert named <= served
    assert set(re.findall(r"`(ett_[a-z_]+)`", manual)) == served
