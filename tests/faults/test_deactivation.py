"""Who is deactivated while a request of theirs waits for a lock (threats 5): it came first, or it is refused."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.time.clock import utc_now
from app.services.access import locks
from tests.support.concurrency import Call, at_once
from tests.support.databases import POSTGRESQL
from tests.support.factories import PASSWORD

SOON = f"{utc_now().date() + timedelta(days=2)}T00:00:00Z"
PATIENCE_SECONDS = 10
OF_ADMIN = {
    "a password": ("PUT", "/admin/users/{ana}/password", {"password": PASSWORD}),
    "a link": ("POST", "/admin/users/{ana}/password-link", None),
    "an e-mail": ("PATCH", "/admin/users/{ana}", {"email": "other@example.com"}),
    "a log-out": ("DELETE", "/admin/users/{ana}/sessions", None),
}
OF_ONESELF = {
    "an API token": ("POST", "/auth/api-tokens", {"name": "Gate", "scopes": ["entries:read"], "expires_at": SOON}),
    "a second factor": ("POST", "/auth/totp", None),
}


@pytest.mark.parametrize("wanted", OF_ADMIN.values(), ids=OF_ADMIN.keys())
def test_an_admin_who_was_deactivated_does_nothing_more(people, server, engine, wanted):
    """Their request waits for the row of the person concerned; meanwhile another admin deactivates them."""
    ana, eve, ada = people.employee("Ana"), people.admin("Eve"), people.admin("Ada")
    asked = call(server, eve, *wanted, ana=ana.id)
    deactivation = call(server, ada, "PUT", f"/admin/users/{eve.id}/deactivate")

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.writing() as session:
            locks.lock(session, ana.id)
            first = elsewhere.submit(at_once, [asked])
            wait_until(lambda: waiting(server, engine) == 1)
            second = elsewhere.submit(at_once, [deactivation])
            wait_until(lambda: waiting(server, engine) == 2 or second.done())
            overtaken = second.done()
        (done,), (off,) = first.result(), second.result()

    assert off.status_code == 200
    assert done.status_code in ({401} if overtaken else {200, 201, 204})


@pytest.mark.parametrize("wanted", OF_ONESELF.values(), ids=OF_ONESELF.keys())
def test_who_was_deactivated_keeps_nothing_that_lets_them_in(people, server, engine, wanted):
    """The deactivation waits for the person's row first, their own request behind it."""
    ana, ada = people.employee("Ana"), people.admin("Ada")
    deactivation = call(server, ada, "PUT", f"/admin/users/{ana.id}/deactivate")
    asked = call(server, ana, *wanted)

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.writing() as session:
            locks.lock(session, ana.id)
            first = elsewhere.submit(at_once, [deactivation])
            wait_until(lambda: waiting(server, engine) == 1)
            second = elsewhere.submit(at_once, [asked])
            wait_until(lambda: waiting(server, engine) == 2)
        (off,), (done,) = first.result(), second.result()

    assert (off.status_code, done.status_code) == (200, 401)


def call(server, person, method, path, body=None, **ids):
    header = {"Authorization": f"Bearer {server.token(person)}"}
    return Call(method, f"{server.base_url}/api/v1{path.format(**ids)}", header, body)


def waiting(server, engine):
    """How many requests wait for a lock: in the database, or on SQLite one in the engine and the rest before it."""
    if engine == POSTGRESQL:
        with server.database.reading() as session:
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return session.execute(text(f"{blocked} AND wait_event_type = 'Lock'")).scalar_one()
    writers = server.app.state.runtime.gate._writers
    return int(writers.locked()) + len(writers._waiters or ())


def wait_until(is_so):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it didn't come to that"
        time.sleep(0.01)
