"""A PostgreSQL that accepts reads only: by a setting of the role or the database, or as a standby (threats F16)."""

import re
from contextlib import contextmanager

import httpx
import pytest

from tests.support.databases import settings_for
from tests.support.factories import Company
from tests.support.in_process_server import run_server
from tests.support.metrics import Scrape
from tests.support.postgresql import execute

DISCONNECT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'employee-time-tracking-api'
"""


@contextmanager
def serving(url):
    """Run a service with a client of Ana, which unlike a Caller doesn't look into the database, and her clock-in."""
    with run_server(settings_for(url)) as server:
        people = Company(server.database)
        headers = {"Authorization": f"Bearer {server.token(people.employee('Ana'))}"}
        body = {"project_id": people.project("Website").id, "description": ""}
        with httpx.Client(base_url=server.base_url, headers=headers, timeout=30) as ana:
            yield ana, lambda: ana.post("/api/v1/time-entries/clock-in", json=body)


@contextmanager
def read_only_by_default(postgresql, owner):
    """Make transactions of the role or database read-only by default, for connections from now on."""
    execute(postgresql.url, f"ALTER {owner} SET default_transaction_read_only = on")
    execute(postgresql.url, DISCONNECT)
    yield
    execute(postgresql.url, f"BEGIN READ WRITE; ALTER {owner} RESET default_transaction_read_only; COMMIT")


def probe(caller):
    """Return the readiness, and the two metrics that say it too."""
    ready, scrape = caller.get("/health/ready"), Scrape(caller.get("/metrics"))
    return ready.status_code, ready.json().get("code", "ready"), scrape("ett_ready"), scrape("ett_database_up")


@pytest.mark.parametrize(("owner", "source"), [("ROLE postgres", "user"), ("DATABASE postgres", "database")])
def test_a_read_only_default_is_503_and_not_ready_until_it_is_reset(own_postgresql, own_db_url, owner, source, capfd):
    with serving(own_db_url) as (ana, clock_in):
        with read_only_by_default(own_postgresql, owner):
            refused, state = clock_in(), probe(ana)
        log = capfd.readouterr().err
        ready_later, punch = ana.get("/health/ready"), clock_in()

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert state == (503, "database_unavailable", 0, 1)
    assert re.search(rf"error +database_read_only .*default_transaction_read_only is on, set by: {source}\b", log)
    assert ready_later.status_code == 200, "without a write before"
    assert punch.status_code == 200


def test_a_standby_is_not_ready_until_it_is_promoted(own_postgresql, own_db_url, capfd):
    with serving(own_db_url) as (ana, clock_in):
        own_postgresql.restart_as_standby()
        refused, read, state = clock_in(), ana.get("/api/v1/projects"), probe(ana)
        log = capfd.readouterr().err
        execute(own_postgresql.url, "SELECT pg_promote()")
        ready_later, punch = ana.get("/health/ready"), clock_in()

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert read.status_code == 200
    assert state == (503, "database_unavailable", 0, 1)
    assert re.search(r"error +database_read_only .*this server is a standby", log)
    assert ready_later.status_code == 200
    assert punch.status_code == 200
