"""Login sessions and recovery codes that SQL adds or puts back: `verify-audit` names them."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Row, Table, delete, insert, select, update

from app.core.database.session import Database
from app.core.security.hash_chain import GENESIS, canonical_json
from app.core.security.opaque_tokens import digest
from app.core.time.clock import utc_now
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT, LOGIN_SESSION, RECOVERY_CODE
from app.models.users import User
from app.services.access import locks
from app.services.audit import recorder
from app.services.auth import login_sessions, second_factor
from tests.services.audit.test_reconciliation import faults, matches, reconcile
from tests.support.audit_tampering import AuditTamperer
from tests.support.credentials import create_login_session, create_password_link, create_second_factor
from tests.support.databases import settings_for
from tests.support.factories import OPERATOR, PASSWORD, instant
from tests.support.in_process_server import Caller, Server

LATER = instant("2026-03-03 09:00")
ANOTHER = "another-lantern-17-harbour"
ENDINGS = [
    ("Ana", "POST /auth/logout", None),
    ("Ana", "DELETE /auth/sessions/{phone}", None),
    ("Ana", "DELETE /auth/sessions", None),
    ("Ana", "POST /auth/password", {"current_password": PASSWORD, "new_password": ANOTHER}),
    ("Ana", "POST /auth/password/set", {"token": "{link}", "new_password": ANOTHER}),
    ("Ada", "PUT /admin/users/{Ana}/password", {"password": ANOTHER}),
    ("Ada", "PUT /admin/users/{Ana}/deactivate", None),
    ("Ada", "DELETE /admin/users/{Ana}/sessions", None),
]


@pytest.fixture
def people(people):
    people.records_events = True
    return people


def test_a_forged_recovery_code_is_named(company, database):
    with database.write_transaction() as session:
        session.execute(insert(RECOVERY_CODE).values(user_id=company["Ana"], code_hash=digest("known to bob")))

    assert faults(database) == [f"recovery_code of user {company['Ana']} was added without an event."]


def test_a_used_recovery_code_that_is_put_back_is_named(database, people):
    eve = people.employee("Eve")
    code = create_second_factor(database, eve).recovery_codes[0]
    before = rows_of(database, RECOVERY_CODE)
    with database.write_transaction() as session:
        locks.lock_users(session, eve.id)
        assert second_factor.verify_code(session, eve.id, code, at=LATER)
    assert faults(database) == []

    put_back(database, RECOVERY_CODE, before)

    assert faults(database) == [f"recovery_code of user {eve.id} was added without an event."]


def test_the_codes_of_a_removed_second_factor_that_are_put_back_are_named(database, people):
    eve = people.employee("Eve")
    create_second_factor(database, eve)
    before = rows_of(database, RECOVERY_CODE)
    with database.write_transaction() as session:
        second_factor.reset(session, OPERATOR, eve.id, at=LATER)
    assert faults(database) == []

    put_back(database, RECOVERY_CODE, before)

    assert faults(database) == [f"recovery_code of user {eve.id} was added without an event."] * 10


def test_recovery_codes_agree_after_the_audit_key_was_changed(database, people, db_url):
    create_second_factor(database, people.employee("Eve"))
    settings = settings_for(db_url, AUDIT_KEY="b" * 40, AUDIT_PREVIOUS_KEYS=database.keyring.audit_secrets)
    renewed = Database(settings)
    create_second_factor(renewed, people.employee("Dan"))

    found = faults(renewed)
    renewed.close()

    assert found == []


@pytest.mark.parametrize(("caller", "operation", "body"), ENDINGS, ids=lambda value: str(value)[:40])
def test_an_ended_login_session_that_is_put_back_is_named(people, as_user, server, caller, operation, body):
    ana, ada = people.employee("Ana"), people.admin("Ada")
    callers = {"Ana": as_user(ana), "Ada": as_user(ada)}
    phone = create_login_session(server.database, ana, is_recorded=True).session_id
    link = create_password_link(server.database, ana)
    before = rows_of(server.database, LOGIN_SESSION)
    method, path = operation.format(phone=phone, Ana=ana.id).split(" ")
    body = body and {name: value.format(link=link) for name, value in body.items()}

    assert callers[caller].request(method, path, json=body).status_code < 300

    left = {row.id for row in rows_of(server.database, LOGIN_SESSION)}
    ended = {row.id for row in before} - left
    assert ended
    assert faults(server.database) == []
    put_back(server.database, LOGIN_SESSION, before)
    expected = {f"login_session {number} of user {ana.id} was added without an event." for number in ended}
    assert set(faults(server.database)) == expected


def test_a_login_session_that_sql_gives_to_another_user_is_named(company, database):
    with database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(user_id=company["Mia"]))

    (found,) = faults(database)

    assert found.endswith(f" of user {company['Mia']} was added without an event.")


@pytest.mark.parametrize(
    "prolonged",
    [{"expires_at": timedelta(days=1)}, {"expires_at": timedelta(days=100), "refreshed_at": timedelta(days=100)}],
    ids=["after the last refresh", "after the login"],
)
def test_a_login_session_that_sql_prolongs_is_named(people, anonymous, server, prolonged):
    ana = people.employee("Ana")
    database, (row,) = server.database, log_in_and_refresh(server, anonymous, ana)
    assert faults(database) == []
    with database.write_transaction() as session:
        later = {name: getattr(row, name) + by for name, by in prolonged.items()}
        session.execute(update(LOGIN_SESSION).values(later))

    assert faults(database) == [f"login_session {row.id} of user {ana.id} was changed in expires_at without an event."]


def test_a_login_session_may_last_as_long_as_the_settings_at_its_login_or_now_allow(people, database, db_url):
    ana = people.employee("Ana")
    generous = Database(settings_for(db_url, REFRESH_TOKEN_EXPIRE_DAYS=60, SESSION_MAX_DAYS=200))
    create_login_session(generous, ana, is_recorded=True)
    short = create_login_session(database, ana, is_recorded=True)
    with generous.write_transaction() as session:
        login_sessions.refresh(session, database.keyring.refresh_tokens.decode(short.refresh_token), at=utc_now())
    found = faults(generous)
    generous.close()

    assert found == []


def test_a_login_session_of_an_event_without_its_limits_may_last_as_long_as_any(people, anonymous, server):
    """Events up to version 0.10 do not hold the limits, which may have been lowered since."""
    ana = people.employee("Ana")
    database, (row,) = server.database, log_in_and_refresh(server, anonymous, ana)
    forget_in_last_event(database, ana.id, "idle_days", "max_days")
    with database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(expires_at=row.refreshed_at + timedelta(days=90)))
    assert faults(database) == []
    with database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(expires_at=row.refreshed_at + timedelta(days=91)))

    assert len(faults(database)) == 1


def test_an_expired_login_session_is_deleted_without_a_fault(company, database):
    with database.write_transaction() as session:
        session.execute(delete(LOGIN_SESSION))

    assert faults(database) == []


@pytest.mark.parametrize(
    ("operation", "body", "uncovered"),
    [
        ("POST /auth/password", {"current_password": PASSWORD, "new_password": ANOTHER}, 1),
        ("DELETE /auth/sessions", None, 1),
    ],
    ids=["a password change", "the end of other sessions"],
)
def test_a_login_session_that_an_event_of_0_9_does_not_name_is_not_covered(
    people, as_user, server, run_command, operation, body, uncovered
):
    ana = people.employee("Ana")
    me = as_user(ana)
    create_login_session(server.database, ana, is_recorded=True)
    before = rows_of(server.database, LOGIN_SESSION)
    assert me.request(*operation.split(" "), json=body).status_code < 300
    forget_session_of_last_event(server.database, ana.id)

    verified = run_command("verify-audit")

    assert verified.exit_code == 0, verified.stderr
    assert f"Not covered: {uncovered} values of login_session.created_at." in verified.stdout
    assert run_command("audit-baseline").exit_code == 0
    assert faults(server.database) == []
    if operation.startswith("POST"):
        put_back(server.database, LOGIN_SESSION, before)
        assert len(faults(server.database)) == 2
    with server.database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(created_at=utc_now().replace(microsecond=0, year=2099)))
    assert len(faults(server.database)) >= 1


def test_no_other_login_session_passes_for_that_of_a_password_change_of_0_9(people, as_user, server):
    ana = people.employee("Ana")
    as_user(ana).post("/auth/password", json={"current_password": PASSWORD, "new_password": ANOTHER})
    forget_session_of_last_event(server.database, ana.id)
    (row,) = rows_of(server.database, LOGIN_SESSION)
    with server.database.write_transaction() as session:
        session.execute(insert(LOGIN_SESSION).values(row._asdict() | {"id": 900, "created_at": LATER}))
    with server.database.read_transaction() as session:
        found = reconcile(session)

    assert found.named_faults == [f"login_session 900 of user {ana.id} was added without an event."]
    assert found.uncovered == {"login_session.created_at": 1}


def rows_of(database: Database, table: Table) -> list[Row[Any]]:
    with database.read_transaction() as session:
        return list(session.execute(select(table)).all())


def put_back(database: Database, table: Table, rows: list[Row[Any]]) -> None:
    """Insert the rows again that were deleted since."""
    present = {tuple(row) for row in rows_of(database, table)}
    with database.write_transaction() as session:
        for row in rows:
            if tuple(row) not in present:
                session.execute(insert(table).values(row._asdict()))


def log_in_and_refresh(server: Server, anonymous: Caller, user: User) -> list[Row[Any]]:
    token = anonymous.post("/auth/login", data={"username": user.email, "password": PASSWORD}).json()["refresh_token"]
    assert anonymous.post("/auth/refresh", json={"refresh_token": token}).status_code == 200
    return rows_of(server.database, LOGIN_SESSION)


def forget_session_of_last_event(database: Database, user_id: int) -> None:
    """Chain the last event with a session id as version 0.9 did, without the id of the login session."""
    forget_in_last_event(database, user_id, "session_id", "idle_days", "max_days")


def forget_in_last_event(database: Database, user_id: int, *names: str) -> None:
    tamperer = AuditTamperer(database)
    events = tamperer.events_of_chain(user_id)
    last = max(event.position for event in events if event.after and "session_id" in event.after)
    keys, link = database.keyring.audit_keys, GENESIS
    for event in events:
        fields = event._asdict()
        if event.position == last:
            after = {name: value for name, value in json.loads(event.after).items() if name not in names}
            fields["after"] = canonical_json(after) if after else None
        link = fields["link"] = keys.mac(event.key_id, recorder.mac_payload(fields, link))
        changed = {"after": fields["after"], "link": link}
        tamperer.execute(update(AUDIT_EVENT).where(matches(AUDIT_EVENT, event)).values(changed))
    tamperer.execute(update(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == user_id).values(last_link=link))
    tamperer.restore_triggers()
