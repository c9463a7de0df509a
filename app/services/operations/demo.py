"""Demo data: a company with three teams under one manager, and entries for 90 days with lunch breaks.

A timesheet is a month. Two employees have submitted their last two months, and their manager has decided on three.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select

from app.core.config.settings import DEMO_PASSWORD
from app.core.database.session import Session
from app.core.time.zones import local_day
from app.models.projects import Project
from app.models.tables import ENTRY, USER
from app.models.timesheets import PeriodKind
from app.models.users import Role, User
from app.schemas.projects import ProjectCreate
from app.schemas.users.user import NewUser
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.projects import projects
from app.services.time_entries.entries import snapshot
from app.services.timesheets import approvals, rules
from app.services.timesheets.cases import Case, Cases, TimesheetName
from app.services.timesheets.periods import load_rules
from app.services.timesheets.sheets import OVER_SINCE, SheetValues
from app.services.users import administration

PASSWORD = DEMO_PASSWORD
DAYS = 90
USERS_PER_TEAM = 8
TEAMS = {"Product": "Europe/Lisbon", "Engineering": "Europe/Berlin", "Support": "America/New_York"}
PROJECTS = {
    "Product": ["Product website", "Pricing study", "Customer interviews"],
    "Engineering": ["Mobile app", "Billing", "Maintenance"],
    "Support": ["Help desk", "Onboarding calls"],
}
NAMES = """
    Ana Almeida, Ben Becker, Carla Costa, Dinis Dietrich, Eva Evans, Finn Ferreira, Grace Gomes, Hugo Hansen,
    Ines Ivanova, Jonas Jensen, Kira Klein, Luis Lopes, Mia Meyer, Nils Nunes, Olga Okafor, Paulo Pereira, Rosa Quint,
    Sven Ribeiro, Tara Schulz, Ugo Teixeira, Vera Ueda, Will Vogel, Xenia Weber, Yara Xavier, Zoe Young, Amir Zimmer,
    Bela Araujo, Ciro Brandt, Dora Cruz, Emil Duarte
"""
TASKS = ("Review", "Planning", "Customer call", "Bug fixes", "Release", "Design", "Documentation", "Reports")


class DatabaseNotEmpty(Exception):
    """The database already has users, and --force was not given."""


@dataclass(frozen=True, slots=True)
class DemoCompany:
    users: int
    entries: int
    timesheets: list[str]
    """Each timesheet as a sentence. Empty if the database had timesheet rules."""
    boss_email: str
    manager_email: str
    employee_email: str


def build(
    session: Session,
    *,
    password_hash: str,
    force: bool,
    at: datetime,
    on_progress: Callable[[int, int], None],
) -> DemoCompany:
    """Create the company: one top manager over three managers, each with eight or nine employees, and their entries.

    The data is the same each time, relative to `at`. Raises DatabaseNotEmpty if the database has users and `force` is
    false, and EmailTaken if the company exists.
    """
    if not force and session.execute(select(USER.c.id).limit(1)).first() is not None:
        raise DatabaseNotEmpty("The database already has users. Use --force to add the demo company to them.")
    rng = random.Random(2026)  # noqa: S311 - demo data, the same each time
    create_user = _UserFactory(session, password_hash, at)
    boss = create_user("Europe/Lisbon", Role.manager, None)
    workers: list[tuple[User, list[Project]]] = []
    for number, (team, zone) in enumerate(TEAMS.items()):
        team_projects = [projects.create(session, None, ProjectCreate(name=name), at=at) for name in PROJECTS[team]]
        manager = create_user(zone, Role.manager, boss.id)
        users = [create_user(zone, Role.employee, manager.id) for _ in range(USERS_PER_TEAM + (number > 0))]
        workers += [(user, team_projects) for user in [manager, *users]]
    entries = 0
    for done, (user, team_projects) in enumerate(workers, start=1):
        entries += _add_days(session, rng, user, team_projects, at=at)
        on_progress(done, len(workers))
    manager, *employees = (user for user, _ in workers[:3])
    timesheets = _add_timesheets(session, boss, manager, employees, at=at)
    return DemoCompany(create_user.count, entries, timesheets, boss.email, manager.email, employees[0].email)


class _UserFactory:
    """Factory for users. Each call creates one with the next name of NAMES."""

    def __init__(self, session: Session, password_hash: str, at: datetime) -> None:
        self._session, self._password_hash, self._at = session, password_hash, at
        self.count = 0

    def __call__(self, zone: str, role: Role, manager_id: int | None) -> User:
        first, last = NAMES.split(",")[self.count].split()
        self.count += 1
        data = NewUser(
            email=f"{first}.{last}@example.com".lower(),
            first_name=first,
            last_name=last,
            role=role,
            manager_id=manager_id,
            time_zone=zone,
        )
        return administration.create(self._session, None, data, password_hash=self._password_hash, at=self._at)


def _add_days(session: Session, rng: random.Random, user: User, team_projects: list[Project], *, at: datetime) -> int:
    today = at.astimezone(ZoneInfo(user.time_zone)).date()
    rows = [
        row
        for days_ago in range(DAYS, 0, -1)
        for row in _day(rng, user, team_projects, today - timedelta(days=days_ago), at=at)
    ]
    inserted = session.execute(insert(ENTRY).returning(ENTRY.c.id, sort_by_parameter_order=True), rows)
    for row, entry_id in zip(rows, inserted.scalars().all(), strict=True):
        recorder.record(
            session,
            "time_entry:create",
            at=at,
            actor_id=user.id,
            subject_id=user.id,
            object_id=entry_id,
            after=snapshot(row),
            reason="demo company",
        )
    return len(rows)


def _day(
    rng: random.Random, user: User, team_projects: list[Project], day: date, *, at: datetime
) -> Iterator[dict[str, Any]]:
    """Yield a morning and an afternoon entry with a lunch break. No entries on weekends and on 5 % of other days."""
    if day.weekday() > 4 or rng.random() < 0.05:
        return
    zone = ZoneInfo(user.time_zone)
    morning_start = datetime.combine(day, time(8), zone) + timedelta(seconds=rng.randrange(5400))
    morning_end = morning_start + timedelta(seconds=rng.randrange(3 * 3600, 5 * 3600))
    afternoon_start = morning_end + timedelta(seconds=rng.randrange(1500, 4500))
    afternoon_end = afternoon_start + timedelta(seconds=rng.randrange(3 * 3600, 5 * 3600))
    for start, end in ((morning_start, morning_end), (afternoon_start, afternoon_end)):
        yield {
            "user_id": user.id,
            "project_id": rng.choice(team_projects).id,
            "start_time": start.astimezone(UTC),
            "end_time": end.astimezone(UTC),
            "description": rng.choice(TASKS),
            "time_zone": user.time_zone,
            "needs_review": False,
            "version": 1,
            "created_at": at,
            "updated_at": at,
        }


def _add_timesheets(session: Session, boss: User, manager: User, employees: list[User], *, at: datetime) -> list[str]:
    """Submit two months of each employee, and let the manager decide. Return each timesheet as a sentence.

    If the database has timesheet rules, they stay as they are, and no timesheet is added.
    """
    if load_rules(session):
        return []
    this_month = local_day(int((at - OVER_SINCE).timestamp()), manager.time_zone).replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    month_before = (last_month - timedelta(days=1)).replace(day=1)
    rules.set_rule(session, _as_actor(boss), month_before, PeriodKind.month, at=at)
    add = partial(_add_timesheet, session, manager, at=at)
    first, second = employees
    return [
        add(first, month_before, lambda case: approvals.approve_case(case, None)),
        add(first, last_month, None),
        add(second, month_before, lambda case: approvals.approve_case(case, "Thank you")),
        add(second, last_month, lambda case: approvals.reject_case(case, "The workshop in the first week is missing.")),
    ]


def _add_timesheet(
    session: Session,
    manager: User,
    employee: User,
    first_day: date,
    decide: Callable[[Case], SheetValues] | None,
    *,
    at: datetime,
) -> str:
    """Submit a month of the employee, and let the manager decide. The transaction has made both, so they are locked."""

    def case(user: User) -> Case:
        actor, visible = _as_actor(user), {employee.id or 0: employee.time_zone}
        name = TimesheetName(employee.id or 0, first_day)
        return Cases(session, actor, visible, [name], at=at).find(name)

    sheet = approvals.submit_case(case(employee), reason=None)
    if decide is not None:
        sheet = decide(case(manager))
    return f"{employee.first_name} {employee.last_name}, {first_day:%Y-%m}: {sheet['status']}"


def _as_actor(user: User) -> Actor:
    return Actor(user.id or 0, user.role, user.time_zone)
