"""Comparison of the rows with the audit log: what SQL adds, changes or deletes behind the service is named."""

import json
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Date,
    Enum,
    Executable,
    Integer,
    Row,
    String,
    Table,
    and_,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlmodel import AutoString

from app.core.database.column_types import Instant
from app.core.database.session import Database, Session
from app.core.security.hash_chain import GENESIS, canonical_json
from app.models.tables import (
    API_TOKEN,
    AUDIT_CHAIN,
    AUDIT_EVENT,
    ENTRY,
    LOGIN_SESSION,
    PASSWORD_LINK,
    PAYROLL_LOCK,
    PROJECT,
    PROJECT_MEMBER,
    RECOVERY_CODE,
    SECOND_FACTOR,
    TIME_ZONE,
    TIMESHEET,
    TIMESHEET_RULE,
    USER,
)
from app.schemas.projects import ProjectUpdate
from app.schemas.time_entries.clock import ClockIn
from app.schemas.time_entries.manual import TimeEntryUpdate
from app.schemas.users.user import UserUpdate
from app.services.access import locks
from app.services.audit import recorder, verification
from app.services.audit.reconciliation import MAX_NAMED_FAULTS, Reconciliation
from app.services.audit.recorder import SECRET_FIELDS
from app.services.projects import projects
from app.services.time_entries import clock, manual
from app.services.users import administration, personal_data
from tests.support.audit_tampering import AuditTamperer
from tests.support.credentials import (
    create_claims,
    create_password_link,
    create_second_factor,
)
from tests.support.databases import SQLITE
from tests.support.factories import OPERATOR, instant

NOON, ONE = instant("2026-03-02 12:00"), instant("2026-03-02 13:00")
LATER = instant("2026-03-03 09:00")
COVERED = {
    ENTRY: {column.name for column in ENTRY.c} - {"timesheet_id"},
    USER: {column.name for column in USER.c},
    PROJECT: {column.name for column in PROJECT.c},
    PROJECT_MEMBER: {column.name for column in PROJECT_MEMBER.c},
    API_TOKEN: {column.name for column in API_TOKEN.c} - {"last_used_at"},
    SECOND_FACTOR: {column.name for column in SECOND_FACTOR.c} - {"last_step", "wrong_codes"},
    PASSWORD_LINK: {column.name for column in PASSWORD_LINK.c},
    RECOVERY_CODE: {column.name for column in RECOVERY_CODE.c},
    LOGIN_SESSION: {"id", "user_id", "created_at"},
    TIMESHEET: {column.name for column in TIMESHEET.c} - {"comment"},
    TIMESHEET_RULE: {column.name for column in TIMESHEET_RULE.c},
    PAYROLL_LOCK: {column.name for column in PAYROLL_LOCK.c},
}
"""All columns that an event holds or implies. The others are times of use, a count, and what a refresh changes.

The entries of a timesheet are compared with its digest, and its comment is in the event as a reason, not as a value.
"""


@pytest.fixture
def people(people):
    people.records_events = True
    return people


def test_a_company_that_only_the_service_changed_has_no_fault(company, database):
    assert faults(database) == []


@pytest.mark.parametrize("table", COVERED, ids=lambda table: table.name)
def test_a_change_of_any_column_by_sql_is_found(company, database, engine, table):
    with database.write_transaction() as session:
        without_constraints(session, engine)
        row = session.execute(select(table).order_by(*table.primary_key)).first()
        missed = []
        for name in COVERED[table]:
            for value in other_values(table.c[name], getattr(row, name)):
                found = found_after(session, update(table).where(matches(table, row)).values({name: value}))
                if not any(table.name in fault for fault in found):
                    missed.append((name, value))

    assert missed == []


@pytest.mark.parametrize("table", COVERED.keys() - {RECOVERY_CODE, LOGIN_SESSION}, ids=lambda table: table.name)
def test_a_row_deleted_by_sql_is_found(company, database, engine, table):
    with database.write_transaction() as session:
        without_constraints(session, engine)
        row = session.execute(select(table).order_by(*table.primary_key)).first()
        (found,) = found_after(session, delete(table).where(matches(table, row)))

    assert found.startswith(f"{table.name} {row[0] if table is not SECOND_FACTOR else company['Ana']}")
    assert found.endswith(" was deleted without an event.")


@pytest.mark.parametrize("table", COVERED, ids=lambda table: table.name)
def test_a_row_added_by_sql_is_found(company, database, engine, table):
    new_ids = {"id": 900, "user_id": company["Bob"]} if "id" in table.c else {"user_id": company["Bob"]}
    unique = {"email_key": "x", "name_key": "x", "token_hash": "x", "start_time": NOON, "end_time": ONE}
    unique |= {"code_hash": "x", "code": "x", "valid_from": date(2026, 3, 1), "name": "x"}
    with database.write_transaction() as session:
        without_constraints(session, engine)
        row = session.execute(select(table).order_by(*table.primary_key)).first()
        values = {n: v for n, v in (unique | new_ids).items() if n in table.c}
        (found,) = found_after(session, insert(table).values(row._asdict() | values))

    assert found.endswith(" was added without an event.")


def test_rows_of_users_before_and_after_all_chains_are_found(company, database, engine):
    with database.write_transaction() as session:
        without_constraints(session, engine)
        found = [
            found_after(session, update(ENTRY).where(ENTRY.c.id == company["entry"]).values(user_id=user_id))
            for user_id in (-1, 0, 2_000_000)
        ]

    assert [len(each) for each in found] == [2, 2, 2]


def test_hours_changed_by_sql_stay_found_when_the_service_changes_the_entry(company, database, people, engine):
    with database.write_transaction() as session:
        session.execute(
            update(ENTRY).where(ENTRY.c.id == company["entry"]).values(start_time=instant("2026-03-02 06:00"))
        )
    with database.write_transaction() as session:
        change = TimeEntryUpdate(start_time="2026-03-02T07:00:00Z", reason="Forgot")
        entry = manual.load_locked(session, {company["Ana"]}, company["entry"], None)
        manual.update_locked(session, OPERATOR, entry, change, at=LATER)

    (found,) = faults(database)

    assert found.startswith(f"time_entry {company['entry']} of user {company['Ana']} was changed in start_time without")


def test_a_start_moved_by_sql_stays_found_after_the_clock_out(company, database, people):
    bob = people.employee("Bo")
    claims = create_claims(database, bob, is_recorded=True)
    open_project = people.project("Open")
    with database.write_transaction() as session:
        entry = clock.clock_in(
            session, claims, ClockIn(project_id=open_project.id, description=""), switch=False, at=NOON
        )
    with database.write_transaction() as session:
        session.execute(update(ENTRY).where(ENTRY.c.id == entry.id).values(start_time=NOON - timedelta(hours=3)))
    with database.write_transaction() as session:
        clock.clock_out_open(session, claims, at=ONE)

    (found,) = faults(database)

    assert found.startswith(f"time_entry {entry.id} of user {bob.id} was changed in start_time without")


def test_an_entry_added_by_sql_stays_found_when_the_service_changes_it(company, database):
    with database.write_transaction() as session:
        row = session.execute(select(ENTRY).where(ENTRY.c.id == company["entry"])).one()
        session.execute(insert(ENTRY).values(row._asdict() | {"id": 900, "start_time": NOON, "end_time": ONE}))
    with database.write_transaction() as session:
        change = TimeEntryUpdate(description="Mine", reason="Typing error")
        entry = manual.load_locked(session, {company["Ana"]}, 900, None)
        manual.update_locked(session, OPERATOR, entry, change, at=LATER)

    assert faults(database) == [f"time_entry 900 of user {company['Ana']} was added without an event."]

    with database.write_transaction() as session:
        entry = manual.load_locked(session, {company["Ana"]}, 900, None)
        manual.delete_locked(session, OPERATOR, entry, reason="Not mine", at=LATER)
    (found,) = faults(database)
    assert found.startswith(f"time_entry 900 of user {company['Ana']} was added without an event, before link ")


def test_all_faults_are_counted_and_the_first_are_named(company, database, people):
    ana = people.employee("Anna")
    project = people.project("Many")
    for day in range(25):
        people.entry(ana, project, f"2026-04-{day + 1:02} 08:00", f"2026-04-{day + 1:02} 09:00")
    with database.write_transaction() as session:
        session.execute(update(ENTRY).where(ENTRY.c.user_id == ana.id).values(description="More"))
        reconciliation = reconcile(session)

    assert (reconciliation.faults, len(reconciliation.named_faults)) == (25, MAX_NAMED_FAULTS)


def test_an_erased_user_agrees_with_the_audit_log_and_a_name_given_back_by_sql_does_not(company, database, people):
    dan = people.employee("Dan")
    create_second_factor(database, dan)
    create_password_link(database, dan)
    with database.write_transaction() as session:
        administration.deactivate(session, OPERATOR, dan.id, at=LATER)
        personal_data.erase(session, dan.id, at=LATER)

    assert faults(database) == []

    with database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == dan.id).values(first_name="Dan"))
    assert faults(database) == [f"user {dan.id} was changed in first_name without an event."]


@pytest.mark.parametrize("email", ["ana@example.org", "ANA@example.com"])
def test_a_password_link_agrees_after_the_email_changed_and_cannot_be_put_back(company, database, email):
    """The link was sent to the former address. A change of upper and lower case only keeps it."""
    with database.read_transaction() as session:
        link = session.execute(select(PASSWORD_LINK)).one()
    with database.write_transaction() as session:
        administration.change(session, OPERATOR, company["Ana"], UserUpdate(email=email), at=LATER)

    assert faults(database) == []

    with database.write_transaction() as session:
        session.execute(delete(PASSWORD_LINK))
        session.execute(insert(PASSWORD_LINK).values(link._asdict()))
    added = f"password_link {company['Ana']} of user {company['Ana']} was added without an event."
    assert faults(database) == ([] if email.endswith(".com") else [added])


def test_a_zone_without_a_row_is_found_because_its_hours_are_left_out_of_reports(database, people, company, engine):
    yui = people.employee("Yui", time_zone="Asia/Tokyo")
    people.entry(yui, people.project("Kyoto"), "2026-03-02 01:00", "2026-03-02 09:00")
    with database.write_transaction() as session:
        administration.change(session, OPERATOR, yui.id, UserUpdate(time_zone="UTC"), at=LATER)
    assert faults(database) == []

    with database.write_transaction() as session:
        session.execute(delete(TIME_ZONE).where(TIME_ZONE.c.name == "Asia/Tokyo"))
    assert faults(database) == ["time_zone Asia/Tokyo is missing. Hours in it are left out of reports."]

    with database.write_transaction() as session:
        without_constraints(session, engine)
        found = found_after(session, delete(TIME_ZONE))
    missing = ("Asia/Tokyo", "UTC")
    assert found == [f"time_zone {name} is missing. Hours in it are left out of reports." for name in missing]


def test_a_member_who_was_removed_and_a_project_that_was_renamed_agree(company, database):
    with database.write_transaction() as session:
        projects.remove_member(session, OPERATOR, company["Website"], company["Ana"], at=LATER)
        projects.change(session, OPERATOR, company["Website"], ProjectUpdate(name="Web site"), at=LATER)

    assert faults(database) == []


def test_values_that_events_of_an_earlier_version_do_not_hold_are_not_covered(company, database, people):
    """Up to 0.9, the events of the demo company held no version, and its times of creation were invented."""
    with database.write_transaction() as session:
        row = session.execute(select(ENTRY).where(ENTRY.c.id == company["entry"])).one()
        values = row._asdict() | {"id": 900, "start_time": NOON, "end_time": ONE}
        session.execute(insert(ENTRY).values(values))
        names = ("project_id", "start_time", "end_time", "description", "time_zone")
        fields = {name: values[name] for name in names}
        event = {"actor_id": None, "subject_id": company["Ana"], "object_id": 900}
        recorder.record(session, "time_entry:create", at=LATER, after=fields, **event)
    with database.read_transaction() as session:
        reconciliation = reconcile(session)

    assert reconciliation.faults == 0
    assert reconciliation.uncovered == {
        f"time_entry.{name}": 1 for name in ("needs_review", "version", "created_at", "updated_at")
    }


def test_a_baseline_covers_what_events_of_an_earlier_version_do_not_hold(company, database, run_command):
    """Up to 0.9, no event held a MAC of a password hash, of an API token, of a second factor or of a password link."""
    forget_macs(database, company["Ana"])
    found = run_command("verify-audit")
    assert (found.exit_code, found.stdout.count("Not covered: 1 values of ")) == (0, 4)
    assert "Not covered: 10 values of recovery_code.code_hash." in found.stdout

    written = run_command("audit-baseline")

    assert (written.exit_code, written.stdout) == (0, "Recorded the values of 14 rows.\n")
    assert faults(database) == []
    with database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == company["Ana"]).values(password_hash="known to Bob"))
    assert faults(database) == [f"user {company['Ana']} was changed in password_hash without an event."]
    assert run_command("audit-baseline").exit_code == 1


def test_a_password_that_a_worker_of_0_9_sets_during_an_upgrade_is_not_covered_and_no_fault(company, database):
    with database.write_transaction() as session:
        locks.lock_users(session, company["Ana"])
        session.execute(update(USER).where(USER.c.id == company["Ana"]).values(password_hash="another"))
        for table in (PASSWORD_LINK, LOGIN_SESSION):
            session.execute(delete(table).where(table.c.user_id == company["Ana"]))
        event = {"actor_id": None, "subject_id": company["Ana"], "object_id": company["Ana"]}
        after = {"must_change_password": False}
        recorder.record(session, "user:set_password", at=LATER, after=after, **event)
    with database.read_transaction() as session:
        reconciliation = reconcile(session)

    assert (reconciliation.faults, reconciliation.uncovered) == (0, {"user.password_hash": 1})


def test_no_baseline_covers_up_a_change_by_sql(company, database, run_command):
    with database.write_transaction() as session:
        session.execute(update(USER).where(USER.c.id == company["Bob"]).values(role="admin"))

    refused = run_command("audit-baseline")

    assert refused.exit_code == 1
    assert "was changed in role without an event. No baseline was written." in refused.stderr
    assert len(faults(database)) == 1


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_value_of_another_type_is_named_by_its_row(company, database):
    with database.write_transaction() as session:
        session.execute(text("DROP TRIGGER IF EXISTS ex_time_entry_no_overlap_update"))
        for trigger in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(text("UPDATE time_entry SET created_at = 'yesterday'"))
        with pytest.raises(verification.AuditChainBroken, match="The row of time_entry at the start cannot be read"):
            reconcile(session)


def forget_macs(database: Database, user_id: int) -> None:
    """Chain the events of this user as version 0.9 did, without MACs."""
    tamperer = AuditTamperer(database)
    keys, link = database.keyring.audit_keys, GENESIS
    statements = []
    for event in tamperer.events_of_chain(user_id):
        after = json.loads(event.after) if event.after else None
        fields = event._asdict()
        if after is not None:
            fields["after"] = canonical_json({n: v for n, v in after.items() if n not in SECRET_FIELDS})
        link = fields["link"] = keys.mac(event.key_id, recorder.mac_payload(fields, link))
        changed = {"after": fields["after"], "link": link}
        statements.append(update(AUDIT_EVENT).where(matches(AUDIT_EVENT, event)).values(changed))
    statements.append(update(AUDIT_CHAIN).where(AUDIT_CHAIN.c.chain_id == user_id).values(last_link=link))
    tamperer.execute(*statements)
    tamperer.restore_triggers()


def reconcile(session: Session) -> Reconciliation:
    with closing(Reconciliation(session)) as reconciliation:
        verification.verify(session, [], on_progress=lambda done, total: None, reconciliation=reconciliation)
    return reconciliation


def faults(database: Database) -> list[str]:
    with database.read_transaction() as session:
        reconciliation = reconcile(session)
    assert reconciliation.uncovered == {}
    return reconciliation.named_faults


def found_after(session: Session, statement: Executable) -> list[str]:
    """Return the faults after a statement, which is undone."""
    with session.begin_nested() as savepoint:
        session.execute(statement)
        found = reconcile(session).named_faults
        savepoint.rollback()
    return found


def without_constraints(session: Session, engine: str) -> None:
    """Remove constraints and triggers, as an attacker who owns the database can."""
    if engine == SQLITE:
        for trigger in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(text("PRAGMA ignore_check_constraints = ON"))
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        return
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text("ALTER TABLE time_entry DROP CONSTRAINT ex_time_entry_no_overlap"))
    session.execute(text('ALTER TABLE "user" DROP CONSTRAINT ck_user_not_their_own_manager'))
    for name in ("ck_timesheet_locked", "ck_timesheet_days", "ck_timesheet_not_by_oneself"):
        session.execute(text(f"ALTER TABLE timesheet DROP CONSTRAINT {name}"))


def matches(table: Table, row: Row[Any]) -> Any:
    return and_(*(column == getattr(row, column.name) for column in table.primary_key))


def other_values(column: Any, value: Any) -> list[Any]:
    """Return values that differ slightly."""
    others = [None] if value is not None and column.nullable else []
    match column.type:
        case Instant():
            return [*others, (value or NOON) + timedelta(seconds=1)]
        case Boolean():
            return [not value]
        case Enum():
            return [other for other in column.type.enums if other != value]
        case Date():
            return [*others, value + timedelta(days=1)]
        case Integer():
            return [*others, (value or 0) + 1000] + ([] if column.primary_key else [(value or 0) + 1])
        case String() | AutoString():
            is_full = len(value) == column.type.length  # then PostgreSQL cuts off a space
            return ([] if is_full else [f"{value} "]) + [value.swapcase() or "x", value[1:] or "y"]
    raise NotImplementedError(column)
