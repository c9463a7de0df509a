"""Entries as JSON, written by the database: a year of a team has more of them than Python makes objects of in a second.

The text is that of TimeEntryWithProject; a test holds the two against each other.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, literal, select

from app.core.database.dialect import instant_text, json_string
from app.core.database.execution_options import ROWS_AT_ONCE
from app.core.database.session import Session
from app.models.tables import PROJECT, USER
from app.schemas.projects import ProjectRead
from app.schemas.reports.report import Attribution
from app.schemas.time_entries.entry import TimeEntryRead
from app.services.calendar.periods import ResolvedPeriod
from app.services.calendar.segments import stretches
from app.services.time_entries.entries import flagged


def entries_as_json(
    session: Session, resolved: ResolvedPeriod, attribution: Attribution, people: ColumnElement[bool], *, at: datetime
) -> Iterator[tuple[int, int | None, str]]:
    """Each entry of these people that belongs to the period, or its part inside a local day, oldest first for each
    person: whose it is, its seconds (None while it runs) and itself as JSON."""
    found = stretches(session, resolved, attribution, people)
    entry = found.entry.c
    told = {
        **{name: entry[name] for name in TimeEntryRead.model_fields},
        "start_time": found.start,
        "end_time": found.end,
        "needs_review": flagged(session, found.entry, at=at),
    }
    statement = (
        select(
            entry.user_id,
            found.seconds,
            _object(told),
            *(PROJECT.c[name] for name in ProjectRead.model_fields),
        )
        .select_from(found.entry)
        .join(USER, USER.c.id == entry.user_id)
        .join(PROJECT, PROJECT.c.id == entry.project_id)
        .where(people, found.belongs)
        .order_by(entry.user_id, found.start, entry.id)
    )
    projects: dict[int, str] = {}
    # Closed whatever happens: a statement read half-way would keep an SQLite connection in the past.
    with session.execute(statement, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
        for user_id, seconds, text, project_id, *project in rows:
            if project_id not in projects:
                projects[project_id] = _project(project_id, *project)
            yield user_id, seconds, f'{text[:-1]},"project":{projects[project_id]}}}'


def _project(*values: Any) -> str:
    fields = dict(zip(ProjectRead.model_fields, values, strict=True))
    return ProjectRead.model_construct(**fields).model_dump_json()


def _object(told: dict[str, ColumnElement[Any]]) -> ColumnElement[str]:
    text: ColumnElement[str] = literal("{", Text)
    for number, (name, value) in enumerate(told.items()):
        text = text.concat(f'{"," if number else ""}"{name}":').concat(_WRITTEN[name](value))
    return text.concat("}")


def _instant(value: ColumnElement[datetime]) -> ColumnElement[str]:
    """One that is missing is null."""
    return func.coalesce(literal('"', Text).concat(instant_text(value)).concat('"'), "null")


def _flag(value: ColumnElement[bool]) -> ColumnElement[str]:
    return case((value, "true"), else_="false")


def _number(value: ColumnElement[int]) -> ColumnElement[str]:
    return cast(value, Text)


_WRITTEN: dict[str, Callable[[ColumnElement[Any]], ColumnElement[str]]] = {
    "id": _number,
    "user_id": _number,
    "project_id": _number,
    "start_time": _instant,
    "end_time": _instant,
    "description": json_string,
    "time_zone": json_string,
    "needs_review": _flag,
    "version": _number,
    "created_at": _instant,
    "updated_at": _instant,
}
