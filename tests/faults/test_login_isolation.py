"""Logins in the network of a user whose row is locked, for example by a long bulk request of theirs (threats 13)."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import insert

from app.core.time.clock import utc_now
from app.models.tables import REFUSED_LOGIN
from app.services.access import locks
from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import POSTGRESQL
from tests.support.factories import PASSWORD
from tests.support.lock_waits import build_call, count_waiting, wait_until

pytestmark = pytest.mark.parametrize("engine", [POSTGRESQL])
WRONG, ANOTHER = "wrong-lantern-42-harbour", "another-lantern-17-harbour"
NEW_PASSWORD = {"current_password": PASSWORD, "new_password": ANOTHER}


def login(server, name, password=PASSWORD):
    return Call(
        "POST", f"{server.base_url}/api/v1/auth/login", form=f"username={name}%40example.com&password={password}"
    )


WAITING_REQUESTS = {
    "a login": lambda server, _: login(server, "ana"),
    "a wrong login": lambda server, _: login(server, "ana", WRONG),
    "a new password": lambda server, ana: build_call(server, ana, "POST", "/auth/password", NEW_PASSWORD),
}


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def bob(people):
    return people.employee("Bob")


@contextmanager
def locked_row(server, user):
    with server.database.write_transaction() as session:
        locks.lock_users(session, user.id)
        yield


@pytest.mark.parametrize("waiting_request", WAITING_REQUESTS.values(), ids=WAITING_REQUESTS.keys())
def test_colleagues_log_in_while_anas_request_waits_for_her_row(server, engine, ana, bob, waiting_request):
    call = waiting_request(server, ana)

    with ThreadPoolExecutor(1) as elsewhere:
        with locked_row(server, ana):
            waiting = elsewhere.submit(send_simultaneously, [call])
            wait_until(lambda: count_waiting(server, engine) == 1)
            answers = [send_simultaneously([login(server, *who)])[0] for who in (("bob",), ("bob", WRONG), ("nobody",))]
            is_waiting = not waiting.done()
        (own,) = waiting.result()

    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert is_waiting
    assert own.status_code == (401 if "wrong" in (call.form or "") else 200)


def test_refused_logins_of_others_are_recorded_while_anas_row_is_locked(server, ana, bob):
    """Ana's count is recorded after the next login of anybody."""
    noon = utc_now() - timedelta(hours=2)
    counts = {"wrong_passwords": 3, "missing_codes": 0, "rejected_codes": 0, "over_limit": 0}
    row = {"chain_id": ana.id, "due_at": noon, "first_at": noon, "last_at": noon} | counts
    with server.database.write_transaction() as session:
        session.execute(insert(REFUSED_LOGIN).values(row))
    audit_log = AuditLog(server.database)

    with locked_row(server, ana):
        send_simultaneously([login(server, "bob", WRONG)])
        server.wait_for_background()
        subjects = [event.subject_id for event in audit_log.new_events()]
    send_simultaneously([login(server, "nobody")])
    server.wait_for_background()

    assert subjects == [bob.id]
    assert sorted((event.subject_id or 0, event.after["wrong_passwords"]) for event in audit_log.new_events()) == [
        (0, 1), (ana.id, 3),
    ]  # fmt: skip
