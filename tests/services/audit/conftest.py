"""Fixtures for the verification of the audit log: working days of events, and a tamperer with database access."""

from datetime import date

import pytest

from app.core.database.session import Database
from app.models.timesheets import PeriodKind
from app.models.users import Role, User
from app.schemas.time_entries.clock import ClockIn
from app.schemas.time_entries.manual import TimeEntryUpdate
from app.schemas.users.user import UserUpdate
from app.services.access.actor import Actor
from app.services.auth import login, refused_logins
from app.services.auth.errors import LoginRefused
from app.services.auth.login import LoginAttempt
from app.services.time_entries import clock, manual
from app.services.timesheets import approvals, lock_date, rules
from app.services.timesheets.cases import TimesheetName
from app.services.users import administration
from tests.support.audit_tampering import NOW, AuditTamperer
from tests.support.credentials import (
    TEST_CLIENT,
    create_api_token,
    create_claims,
    create_login_session,
    create_password_link,
    create_second_factor,
)
from tests.support.factories import instant

NINE, NOON = instant("2026-03-02 09:00"), instant("2026-03-02 12:00")


@pytest.fixture
def ids(people, database) -> dict[str, int]:
    """Create a day of audit events.

    Users are created, Ana is renamed, punches and is corrected, and a login with an unknown address fails.
    """
    ada, mia = people.admin("Ada"), people.manager("Mia")
    ana = people.employee("Ana", manager=mia, last_name="Ñandú")
    website = people.project("Website")
    claims, manager = create_claims(database, ana), create_claims(database, mia)
    admin = Actor(ada.id, Role.admin, "UTC", session_id=1)
    with database.write_transaction("request-1") as session:
        administration.change(session, admin, ana.id, UserUpdate(first_name="Anna", email="anna@example.com"), at=NINE)
    with database.write_transaction("request-2") as session:
        clock.clock_in(session, claims, ClockIn(project_id=website.id, description="Ünïcode"), switch=False, at=NINE)
    with database.write_transaction("request-3") as session:
        entry = clock.clock_out_open(session, claims, at=NOON)
    with database.write_transaction("request-4") as session:
        earlier = TimeEntryUpdate(start_time="2026-03-02T08:00:00Z", reason="Came an hour earlier")
        manual.update_entry(session, manager, entry.id, earlier, versions=None, at=NOW)
    with pytest.raises(LoginRefused), database.write_transaction("request-5") as session:
        unknown = LoginAttempt("nobody@example.com", None, TEST_CLIENT)
        login.open_login_session(session, unknown, None, password_matches=False, at=NOW)
    with database.write_transaction("request-5") as session:
        refused_logins.record_due(session, at=NOW)
    return {"Ada": ada.id, "Mia": mia.id, "Ana": ana.id, "Website": website.id, "entry": entry.id}


@pytest.fixture
def tamperer(ids, database) -> AuditTamperer:
    return AuditTamperer(database)


@pytest.fixture
def company(people, database) -> dict[str, int]:
    """Ana, in Mia's team, is logged in and on the website. She has an entry and one of each other credential.

    Mia approved Ana's February, in which she did not work, and locked January.
    """
    people.records_events = True
    mia, bob = people.manager("Mia"), people.employee("Bob")
    ana = people.employee("Ana", manager=mia)
    website = people.project("Website", members=(ana,), code="KST-100")
    intranet = people.project("Intranet", is_active=False)
    entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 09:00", description="Plan")
    people.entry(bob, intranet, "2026-03-02 08:00", "2026-03-02 09:00", needs_review=True)
    token = create_api_token(database, ana, "entries:read").id
    create_second_factor(database, ana)
    create_password_link(database, ana)
    create_login_session(database, ana, is_recorded=True)
    approve_february(database, mia, ana)
    return {"Mia": mia.id, "Ana": ana.id, "Bob": bob.id, "Website": website.id, "entry": entry, "token": token}


def approve_february(database: Database, mia: User, ana: User) -> None:
    manager, admin = create_claims(database, mia, is_recorded=True), Actor(mia.id or 0, Role.admin, "UTC", session_id=1)
    february = TimesheetName(ana.id or 0, date(2026, 2, 1))
    with database.write_transaction() as session:
        rules.set_rule(session, admin, date(2026, 1, 1), PeriodKind.month, at=NOON)
        lock_date.move(session, admin, date(2026, 2, 1), reason="Paid", versions=None, at=NOON)
    with database.write_transaction() as session:
        approvals.submit(session, manager, february, reason="Ana was ill", at=NOON)
    with database.write_transaction() as session:
        approvals.approve(session, manager, february, comment="Get well", at=NOON)
