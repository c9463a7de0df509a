"""A believable company to look at: three teams under one manager, ninety days of work with lunch gaps."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select

from app.core.database.session import Session
from app.models.projects import Project
from app.models.tables import ENTRY, USER
from app.models.users import Role, User
from app.schemas.projects import ProjectCreate
from app.schemas.users.user import NewPerson
from app.services.audit import recorder
from app.services.projects import projects
from app.services.users import administration

PASSWORD = "a demo company in Lisbon"  # noqa: S105 - published, for a database made to be looked at
DAYS = 90
PEOPLE_PER_TEAM = 8
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


class NotEmpty(Exception):
    """There are people already, and nobody said --force."""


@dataclass(frozen=True, slots=True)
class Company:
    people: int
    entries: int
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
) -> Company:
    """Add the company: a boss over three managers, each over eight or nine people, and their last ninety days.

    The same company each time. Raises NotEmpty where there are people already, unless forced; EmailTaken when it is
    there.
    """
    if not force and session.execute(select(USER.c.id).limit(1)).first() is not None:
        raise NotEmpty("The database has people already. Say --force to add the company beside them.")
    chance = random.Random(2026)  # noqa: S311 - believable, and the same each time
    hire = _Hiring(session, password_hash, at)
    boss = hire("Europe/Lisbon", Role.manager, None)
    workers: list[tuple[User, list[Project]]] = []
    for number, (team, zone) in enumerate(TEAMS.items()):
        booked = [projects.create(session, None, ProjectCreate(name=name), at=at) for name in PROJECTS[team]]
        manager = hire(zone, Role.manager, boss.id)
        people = [hire(zone, Role.employee, manager.id) for _ in range(PEOPLE_PER_TEAM + (number > 0))]
        workers += [(person, booked) for person in [manager, *people]]
    entries = 0
    for done, (person, booked) in enumerate(workers, start=1):
        entries += _add_days(session, chance, person, booked, at=at)
        on_progress(done, len(workers))
    return Company(hire.count, entries, boss.email, workers[0][0].email, workers[1][0].email)


class _Hiring:
    """Adds one person after another, each with the next name of the lists."""

    def __init__(self, session: Session, password_hash: str, at: datetime) -> None:
        self._session, self._password_hash, self._at = session, password_hash, at
        self.count = 0

    def __call__(self, zone: str, role: Role, manager_id: int | None) -> User:
        first, last = NAMES.split(",")[self.count].split()
        self.count += 1
        wanted = NewPerson(
            email=f"{first}.{last}@example.com".lower(),
            first_name=first,
            last_name=last,
            role=role,
            manager_id=manager_id,
            time_zone=zone,
        )
        return administration.create(self._session, None, wanted, password_hash=self._password_hash, at=self._at)


def _add_days(session: Session, chance: random.Random, person: User, booked: list[Project], *, at: datetime) -> int:
    today = at.astimezone(ZoneInfo(person.time_zone)).date()
    rows = [row for back in range(DAYS, 0, -1) for row in _day(chance, person, booked, today - timedelta(days=back))]
    added = session.execute(insert(ENTRY).returning(ENTRY.c.id, sort_by_parameter_order=True), rows)
    for row, entry_id in zip(rows, added.scalars().all(), strict=True):
        facts = {name: row[name] for name in ("project_id", "start_time", "end_time", "description", "time_zone")}
        recorder.record(
            session,
            "time_entry:create",
            at=at,
            actor_id=person.id,
            subject_id=person.id,
            object_id=entry_id,
            after=facts,
            reason="demo company",
        )
    return len(rows)


def _day(chance: random.Random, person: User, booked: list[Project], day: date) -> Iterator[dict[str, Any]]:
    """A morning and an afternoon with lunch between them; nothing on weekends and on one day in twenty."""
    if day.weekday() > 4 or chance.random() < 0.05:
        return
    zone = ZoneInfo(person.time_zone)
    begins = datetime.combine(day, time(8), zone) + timedelta(seconds=chance.randrange(5400))
    lunch = begins + timedelta(seconds=chance.randrange(3 * 3600, 5 * 3600))
    resumes = lunch + timedelta(seconds=chance.randrange(1500, 4500))
    ends = resumes + timedelta(seconds=chance.randrange(3 * 3600, 5 * 3600))
    for start, end in ((begins, lunch), (resumes, ends)):
        yield {
            "user_id": person.id,
            "project_id": chance.choice(booked).id,
            "start_time": start.astimezone(UTC),
            "end_time": end.astimezone(UTC),
            "description": chance.choice(TASKS),
            "time_zone": person.time_zone,
            "needs_review": False,
            "version": 1,
            "created_at": end.astimezone(UTC),
            "updated_at": end.astimezone(UTC),
        }
