"""Deactivation of a user while their request waits for a lock (threats 5).

The request is either committed first or rejected.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from app.services.access import locks
from tests.support.concurrency import send_simultaneously
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server
from tests.support.lock_waits import build_call, count_waiting, wait_until
from tests.support.times import hour_entry

SOON = f"{utc_now().date() + timedelta(days=2)}T00:00:00Z"
ADMIN_REQUESTS = {
    "a password": ("PUT", "/admin/users/{ana}/password", {"password": PASSWORD}),
    "a link": ("POST", "/admin/users/{ana}/password-link", None),
    "an e-mail": ("PATCH", "/admin/users/{ana}", {"email": "other@example.com"}),
    "a log-out": ("DELETE", "/admin/users/{ana}/sessions", None),
}
OWN_REQUESTS = {
    "an API token": ("POST", "/auth/api-tokens", {"name": "Gate", "scopes": ["entries:read"], "expires_at": SOON}),
    "a second factor": ("POST", "/auth/totp", None),
}


@pytest.mark.parametrize("request_parts", ADMIN_REQUESTS.values(), ids=ADMIN_REQUESTS.keys())
def test_an_admin_who_was_deactivated_does_nothing_more(people, server, engine, request_parts):
    """The request waits for the lock on the user it changes. Meanwhile another admin deactivates the caller."""
    ana, eve, ada = people.employee("Ana"), people.admin("Eve"), people.admin("Ada")
    pending_call = build_call(server, eve, *request_parts, ana=ana.id)
    deactivation = build_call(server, ada, "PUT", f"/admin/users/{eve.id}/deactivate")

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            first = elsewhere.submit(send_simultaneously, [pending_call])
            wait_until(lambda: count_waiting(server, engine) == 1)
            second = elsewhere.submit(send_simultaneously, [deactivation])
            wait_until(lambda: count_waiting(server, engine) == 2 or second.done())
            deactivated_first = second.done()
        (done,), (off,) = first.result(), second.result()

    assert off.status_code == 200
    assert done.status_code == 401 or (not deactivated_first and done.status_code in {200, 201, 204})


@pytest.mark.parametrize("request_parts", OWN_REQUESTS.values(), ids=OWN_REQUESTS.keys())
def test_who_was_deactivated_keeps_nothing_that_lets_them_in(people, server, engine, request_parts):
    """Both wait for the lock on the user. The user's own request may be committed first, and is then revoked."""
    ana, ada = people.employee("Ana"), people.admin("Ada")
    deactivation = build_call(server, ada, "PUT", f"/admin/users/{ana.id}/deactivate")
    pending_call = build_call(server, ana, *request_parts)

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            first = elsewhere.submit(send_simultaneously, [deactivation])
            wait_until(lambda: count_waiting(server, engine) == 1)
            second = elsewhere.submit(send_simultaneously, [pending_call])
            wait_until(lambda: count_waiting(server, engine) == 2)
        (off,), (done,) = first.result(), second.result()

    assert (off.status_code, done.status_code in {200, 201, 401}) == (200, True)
    if done.status_code == 201:
        with server.caller(done.json()["token"]) as terminal:
            assert terminal.get("/time-entries").status_code == 401


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("held", ["the user", "the admin"])
def test_an_admins_change_that_waits_for_a_row_delays_no_correction_for_others(people, server, engine, held):
    """Bob's bulk holds his row, or a bulk of the admin's own holds the admin's row."""
    ada, bob, mia, website = people.admin("Ada"), people.employee("Bob"), people.manager("Mia"), people.project("Web")
    ana = people.employee("Ana", manager=mia)
    deactivation = build_call(server, ada, "PUT", f"/admin/users/{bob.id}/deactivate")
    correction = build_call(
        server, mia, "POST", "/time-entries", hour_entry(website, 1, user_id=ana.id, reason="Paper")
    )

    with ThreadPoolExecutor(1) as elsewhere:
        with server.database.write_transaction() as session:
            locks.lock_users(session, bob.id if held == "the user" else ada.id)
            waiting = elsewhere.submit(send_simultaneously, [deactivation])
            wait_until(lambda: count_waiting(server, engine) == 1)
            (corrected,) = send_simultaneously([correction])
            is_waiting = not waiting.done()
        (deactivated,) = waiting.result()

    assert (corrected.status_code, is_waiting, deactivated.status_code) == (201, True, 200)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_an_admins_change_whose_row_stays_locked_is_rejected_after_the_lock_timeout(db_url, engine):
    with run_server(settings_for(db_url, DB_LOCK_TIMEOUT_SECONDS=1)) as server:
        company = Company(server.database)
        ada, bob = company.admin("Ada"), company.employee("Bob")
        with server.caller(server.token(ada)) as caller:
            with server.database.write_transaction() as session:
                locks.lock_users(session, bob.id)
                refused = caller.put(f"/admin/users/{bob.id}/deactivate")
            deactivated = caller.put(f"/admin/users/{bob.id}/deactivate")

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert deactivated.json()["is_active"] is False
