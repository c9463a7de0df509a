"""Deactivation of a user while their request waits for a lock (threats 5).

The request is either committed first or rejected.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.core.time.clock import utc_now
from app.services.access import locks
from tests.support.concurrency import send_simultaneously
from tests.support.factories import PASSWORD
from tests.support.lock_waits import build_call, count_waiting, wait_until

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
    assert done.status_code in ({401} if deactivated_first else {200, 201, 204})


@pytest.mark.parametrize("request_parts", OWN_REQUESTS.values(), ids=OWN_REQUESTS.keys())
def test_who_was_deactivated_keeps_nothing_that_lets_them_in(people, server, engine, request_parts):
    """The deactivation waits for the lock on the user first. The user's own request waits behind it."""
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

    assert (off.status_code, done.status_code) == (200, 401)
