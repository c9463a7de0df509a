"""Rights that are lost while a request waits for a lock (rules: V1; threats 4 and 5).

The test holds the locks on the caller and on the user concerned. A request waits for them. Then the test changes what
the caller may do, and releases the locks. The request must be judged by what holds now.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, text, update

from app.core.time.clock import utc_now
from app.models.tables import AUDIT_EVENT, ENTRY, LOGIN_SESSION, USER
from app.models.users import Role
from app.services.access import locks
from tests.support.concurrency import send_simultaneously
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.in_process_server import run_server
from tests.support.lock_waits import build_call, count_waiting, wait_until
from tests.support.times import hour_entry

SOON = f"{utc_now().date() + timedelta(days=2)}T00:00:00Z"
REASON = {"reason": "On paper"}


@pytest.fixture
def company(people):
    """Mia manages Bo, and Bo manages Ana. Max manages nobody. Ana has one entry."""
    mia, max_, website = people.manager("Mia"), people.manager("Max"), people.project("Website")
    bo = people.manager("Bo", manager=mia)
    ana = people.employee("Ana", manager=bo)
    entry_id = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 10:00")
    return {"mia": mia, "max": max_, "bo": bo, "ana": ana, "website": website, "entry_id": entry_id}


def deactivate(session, company, caller):
    session.execute(update(USER).where(USER.c.id == caller.id).values(is_active=False))


def demote(session, company, caller):
    session.execute(update(USER).where(USER.c.id == caller.id).values(role=Role.employee))


def end_login_sessions(session, company, caller):
    session.execute(delete(LOGIN_SESSION).where(LOGIN_SESSION.c.user_id == caller.id))


def move_ana(session, company, caller):
    session.execute(update(USER).where(USER.c.id == company["ana"].id).values(manager_id=company["max"].id))


def move_her_manager(session, company, caller):
    session.execute(update(USER).where(USER.c.id == company["bo"].id).values(manager_id=company["max"].id))


def bulk(*operations):
    return {"operations": list(operations)}


def requests_about_ana(company):
    """Return the writes to Ana's entries, and the status and code when the caller may no longer see her."""
    entry_id, new = company["entry_id"], hour_entry(company["website"], 1, user_id=company["ana"].id, **REASON)
    path, change = f"/time-entries/{entry_id}", {"description": "Changed", **REASON}
    return {
        "create": (("POST", "/time-entries", new), (404, "user_not_found")),
        "change": (("PATCH", path, change), (404, "entry_not_found")),
        "delete": (("DELETE", f"{path}?reason=Typo"), (404, "entry_not_found")),
        "bulk create": (("POST", "/time-entries/bulk", bulk({"action": "create"} | new)), (409, "bulk_refused")),
        "bulk change": (
            ("POST", "/time-entries/bulk", bulk({"action": "change", "id": entry_id} | change)),
            (409, "bulk_refused"),
        ),
    }


KINDS = ("create", "change", "delete", "bulk create", "bulk change")
OWN_REQUESTS = {
    "an entry": lambda company: ("POST", "/time-entries", hour_entry(company["website"], 1)),
    "a name": lambda _: ("PATCH", "/auth/me", {"first_name": "Other"}),
    "an API token": lambda _: (
        "POST",
        "/auth/api-tokens",
        {"name": "Gate", "scopes": ["entries:read"], "expires_at": SOON},
    ),
    "a second factor": lambda _: ("POST", "/auth/totp"),
    "the end of other login sessions": lambda _: ("DELETE", "/auth/sessions"),
    "an export": lambda _: ("GET", "/reports/export/csv?start_date=2026-03-01&end_date=2026-03-31"),
    "a timesheet": lambda _: ("GET", "/reports/export/pdf?month=2026-03"),
    "personal data": lambda _: ("GET", "/auth/me/export"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lose", [move_ana, move_her_manager, demote])
def test_a_manager_who_may_no_longer_see_ana_changes_nothing_of_hers(server, engine, company, kind, lose):
    request, expected = requests_about_ana(company)[kind]

    answer = answer_after(server, engine, company, lose, company["mia"], request, locked=company["ana"])

    assert (answer.status_code, answer.json()["code"]) == expected
    assert_unchanged(server, company)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lose", [deactivate, end_login_sessions])
def test_a_manager_who_is_logged_out_changes_nothing_of_hers(server, engine, company, kind, lose):
    request, _ = requests_about_ana(company)[kind]

    answer = answer_after(server, engine, company, lose, company["mia"], request, locked=company["ana"])

    assert answer.status_code == 401
    assert_unchanged(server, company)


@pytest.mark.parametrize("lose", [deactivate, end_login_sessions])
@pytest.mark.parametrize("request_for", OWN_REQUESTS.values(), ids=OWN_REQUESTS.keys())
def test_a_user_who_is_logged_out_changes_nothing_of_their_own(server, engine, company, request_for, lose):
    ana = company["ana"]

    answer = answer_after(server, engine, company, lose, ana, request_for(company), locked=ana)

    assert answer.status_code == 401
    assert_unchanged(server, company)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_an_admin_who_logs_out_while_a_request_waits_changes_nothing(people, server, engine, company, db_url):
    """The admin's login session ends in another worker process, without the lock that other admins' changes take."""
    eve, ana = people.admin("Eve"), company["ana"]
    pending = build_call(server, eve, "PATCH", f"/admin/users/{ana.id}", {"first_name": "Other"})

    with run_server(settings_for(db_url)) as worker, holding(server, ana) as (elsewhere, _):
        logout = build_call(worker, eve, "DELETE", "/auth/sessions")
        first = elsewhere.submit(send_simultaneously, [pending])
        wait_until(lambda: count_waiting(server, engine) == 1)
        second = elsewhere.submit(send_simultaneously, [logout])
        wait_until(lambda: count_waiting(server, engine) == 2 or second.done())
        logged_out_first = second.done()
    (done,), (off,) = first.result(), second.result()

    assert off.status_code == 204
    assert done.status_code == 401 or (not logged_out_first and done.status_code == 200)


def test_an_admin_whose_own_row_waits_is_judged_by_what_holds_then(people, server, engine, company):
    eve = people.admin("Eve")
    request = ("PATCH", f"/admin/users/{company['ana'].id}", {"first_name": "Other"})

    answer = answer_after(server, engine, company, end_login_sessions, eve, request, locked=eve)

    assert answer.status_code == 401
    assert_unchanged(server, company)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_team_is_not_moved_while_its_former_manager_writes(people, server, engine, company):
    """Mia's correction of Ana's entry is judged, and then waits for the project. Bo and Ana are moved after it."""
    ada, ana, bo, website = people.admin("Ada"), company["ana"], company["bo"], company["website"]
    request, _ = requests_about_ana(company)["create"]
    move = build_call(server, ada, "PUT", f"/admin/users/{bo.id}/assign-manager?manager_id={company['max'].id}")

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.write_transaction() as session:
            session.execute(text("SELECT id FROM project WHERE id = :id FOR UPDATE"), {"id": website.id})
            first = elsewhere.submit(send_simultaneously, [build_call(server, company["mia"], *request)])
            wait_until(lambda: count_waiting(server, engine) == 1)
            second = elsewhere.submit(send_simultaneously, [move])
            wait_until(lambda: count_waiting(server, engine) == 2 or second.done())
            moved_first = second.done()
        (created,), (moved,) = first.result(), second.result()

    assert (moved_first, created.status_code, moved.status_code) == (False, 201, 200)
    assert owners_of_entries(server) == [ana.id, ana.id]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_manager_who_keeps_correcting_is_deactivated_all_the_same(people, server, engine, company):
    """Corrections share the lock on the user rules. The next one waits behind a deactivation that already waits."""
    ada, mia = people.admin("Ada"), company["mia"]
    request, _ = requests_about_ana(company)["create"]
    deactivation = build_call(server, ada, "PUT", f"/admin/users/{mia.id}/deactivate")

    with ThreadPoolExecutor(2) as elsewhere:
        with server.database.write_transaction() as session:
            options = locks.user_lock_options(company["max"].id, company["bo"].id)
            session.execute(select(USER.c.id), execution_options=options)
            first = elsewhere.submit(send_simultaneously, [deactivation])
            wait_until(lambda: count_waiting(server, engine) == 1)
            second = elsewhere.submit(send_simultaneously, [build_call(server, mia, *request)])
            wait_until(lambda: count_waiting(server, engine) == 2 or second.done())
            overtook = second.done()
        (deactivated,), (corrected,) = first.result(), second.result()

    assert (overtook, deactivated.status_code, corrected.status_code) == (False, 200, 401)
    assert owners_of_entries(server) == [company["ana"].id]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_an_admins_change_waits_for_one_by_a_worker_of_the_previous_release(people, server, engine, company):
    """Version 0.9 locks the row of the user rules only."""
    ada, bo = people.admin("Ada"), company["bo"]
    change = build_call(server, ada, "PATCH", f"/admin/users/{bo.id}", {"first_name": "Bob"})

    with ThreadPoolExecutor(1) as elsewhere:
        with server.database.write_transaction() as session:
            session.execute(text("SELECT name FROM global_lock WHERE name = 'people' FOR UPDATE"))
            waiting = elsewhere.submit(send_simultaneously, [change])
            wait_until(lambda: count_waiting(server, engine) == 1 or waiting.done())
            assert not waiting.done()
        (changed,) = waiting.result()

    assert changed.status_code == 200


def test_an_employee_cannot_make_the_row_of_another_user_wait(people, server, engine, company):
    """A request for a user whom the caller may not see is rejected without that user's lock."""
    bob = people.employee("Bob")
    bodies = [
        build_call(server, bob, *request) for request, _ in (requests_about_ana(company)[kind] for kind in KINDS[:3])
    ]

    with server.database.read_transaction() if engine != POSTGRESQL else locked_rows(server, company["ana"]):
        answers = send_simultaneously(bodies)

    assert [answer.status_code for answer in answers] == [404, 404, 404]


def answer_after(server, engine, company, lose: Callable, caller, request, *, locked):
    """Send the request while the caller and `locked` are locked, change the caller's rights, release them, and answer.

    Without the lock on the caller, the request could lock the caller first, and deadlock with the change.
    """
    call = build_call(server, caller, *request)
    with holding(server, caller, locked) as (elsewhere, session):
        waiting = elsewhere.submit(send_simultaneously, [call])
        wait_until(lambda: count_waiting(server, engine) == 1)
        lose(session, company, caller)
    (answer,) = waiting.result()
    return answer


@contextmanager
def holding(server, *users):
    """Hold the locks on the users' rows. Yield an executor for requests, and the session that holds the locks."""
    with ThreadPoolExecutor(2) as elsewhere, locked_rows(server, *users) as session:
        yield elsewhere, session


@contextmanager
def locked_rows(server, *users):
    with server.database.write_transaction() as session:
        locks.lock_users(session, *(user.id for user in users))
        yield session


def assert_unchanged(server, company):
    """Check that Ana has her name and her entry only, and that no event was written."""
    with server.database.read_transaction() as session:
        rows = session.execute(select(ENTRY.c.id, ENTRY.c.version)).all()
        name = session.execute(select(USER.c.first_name).where(USER.c.id == company["ana"].id)).scalar_one()
        actions = set(session.scalars(select(AUDIT_EVENT.c.action)))
    assert (rows, name) == ([(company["entry_id"], 1)], "Ana")
    assert actions <= {"user:create", "project:create"}


def owners_of_entries(server):
    with server.database.read_transaction() as session:
        return list(session.scalars(select(ENTRY.c.user_id)))
