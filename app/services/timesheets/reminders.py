"""Reminders by e-mail: one a day at most to each user, with what the user has to do.

A manager learns how many timesheets of direct reports wait. Those of users without an active manager wait for the next
active manager above, or else for the active admins.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, select

from app.core.database.dialect import upsert
from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.mail import Mail, Mailer, MailNotSent
from app.core.time.zones import local_day, zone_info
from app.models.tables import REMINDER, TIMESHEET, USER
from app.models.timesheets import TimesheetStatus
from app.models.users import Role
from app.services.timesheets import todo
from app.services.timesheets.periods import load_rules

MAX_LINES = 10
"""Lines of a list in an e-mail. Further ones are only counted."""
MAX_FAILURES = 5
"""Failures in a row after which no further e-mail is tried, because the mail server is down."""
_BATCH = 100
_USERS = (
    select(*USER.c["id", "email", "first_name", "time_zone"], REMINDER.c.day.label("reminded_on"))
    .join_from(USER, REMINDER, REMINDER.c.user_id == USER.c.id, isouter=True)
    .where(USER.c.is_active)
    .order_by(USER.c.id)
    .limit(_BATCH)
)
_WAITING = (
    select(TIMESHEET.c.user_id, func.count().label("sheets"), func.min(TIMESHEET.c.submitted_at).label("since"))
    .where(TIMESHEET.c.status == TimesheetStatus.submitted)
    .group_by(TIMESHEET.c.user_id)
)


_DECIDERS = select(*USER.c["id", "manager_id", "is_active", "role"]).order_by(USER.c.id)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Timesheets that wait for a decision: their number, and when the first was submitted."""

    sheets: int
    since: datetime

    def __add__(self, other: "Waiting") -> "Waiting":
        return Waiting(self.sheets + other.sheets, min(self.since, other.since))


@dataclass(slots=True)
class Duties:
    """Things to do for a user, as lines of an e-mail."""

    running_long: list[str] = field(default_factory=list)
    to_review: list[str] = field(default_factory=list)
    to_submit: list[str] = field(default_factory=list)
    to_decide: Waiting | None = None

    @property
    def count(self) -> int:
        own = len(self.running_long) + len(self.to_review) + len(self.to_submit)
        return own + (self.to_decide.sheets if self.to_decide else 0)


@dataclass(frozen=True, slots=True)
class Reminder:
    """An e-mail to a user, and the user's local day, on which no other one is sent."""

    user_id: int
    day: date
    mail: Mail


@dataclass(slots=True)
class Result:
    sent: int = 0
    failed: int = 0


async def send(
    tx: CallerTransactionRunner[None], mailer: Mailer, *, at: datetime, on_failure: Callable[[int, str], None]
) -> Result:
    """Send the reminders of the day, one after the other.

    The day of a user is noted before the e-mail is sent, and the note is removed if the mail server has not accepted
    it. So the next run tries it again, and neither a second run at the same time nor one after a crash sends it twice.
    After MAX_FAILURES in a row, the remaining users are left for the next run too.
    """
    result, failures_in_a_row = Result(), 0
    async for reminder in load(tx, at=at):
        if not await tx.write(_note, reminder):
            continue
        try:
            await mailer.send(reminder.mail)
        except MailNotSent as error:
            if not error.may_have_arrived:
                await tx.write(_remove_note, reminder)
            result.failed += 1
            failures_in_a_row += 1
            on_failure(reminder.user_id, error.detail)
            if failures_in_a_row == MAX_FAILURES:
                break
        else:
            result.sent += 1
            failures_in_a_row = 0
    return result


async def load(tx: CallerTransactionRunner[None], *, at: datetime) -> AsyncIterator[Reminder]:
    """Yield the reminders of all active users who got none today, in the order of their ids."""
    waiting = await tx.read(_load_waiting)
    last_user_id: int | None = 0
    while last_user_id is not None:
        last_user_id, reminders = await tx.read(_load_batch, waiting, after=last_user_id, at=at)
        for reminder in reminders:
            yield reminder


def _note(session: Session, _operator: None, reminder: Reminder) -> bool:
    """Note the day of a reminder. Return False if another run has done so."""
    statement = upsert(REMINDER).values(user_id=reminder.user_id, day=reminder.day)
    noted = statement.on_conflict_do_update(
        index_elements=["user_id"], set_={"day": reminder.day}, where=REMINDER.c.day < reminder.day
    )
    return session.execute(noted.returning(REMINDER.c.user_id)).first() is not None


def _remove_note(session: Session, _operator: None, reminder: Reminder) -> None:
    session.execute(delete(REMINDER).where(REMINDER.c.user_id == reminder.user_id, REMINDER.c.day == reminder.day))


def _load_batch(
    session: Session, _operator: None, waiting: dict[int, Waiting], *, after: int, at: datetime
) -> tuple[int | None, list[Reminder]]:
    """Return the reminders of the next users, and the id of the last of these. It is None after all users."""
    users = session.execute(_USERS.where(USER.c.id > after)).all()
    days = {user.id: local_day(int(at.timestamp()), user.time_zone) for user in users}
    due = [user for user in users if user.reminded_on is None or user.reminded_on < days[user.id]]
    duties = _load_duties(session, [user.id for user in due], at=at)
    for user_id, sheets in waiting.items():
        duties[user_id].to_decide = sheets
    reminders = [
        Reminder(user.id, days[user.id], _mail(user, duties[user.id], at=at)) for user in due if duties[user.id].count
    ]
    return (users[-1].id if users else None), reminders


def _load_duties(session: Session, user_ids: list[int], *, at: datetime) -> dict[int, Duties]:
    duties: dict[int, Duties] = defaultdict(Duties)
    users = USER.c.id.in_(user_ids)
    for row in session.execute(todo.running_long(session, users, at=at)):
        duties[row.user_id].running_long.append(f"{row.project_name}, since {_local(row.start_time, row.time_zone)}")
    for row in session.execute(todo.to_review(users)):
        times = " to ".join(_local(each, row.time_zone) for each in (row.start_time, row.end_time))
        duties[row.user_id].to_review.append(f"{row.project_name}, {times}")
    if periods := todo.periods_over(load_rules(session), at=at):
        over_for = timedelta(days=session.settings.REMIND_AFTER_DAYS)
        for row in session.execute(todo.to_submit(session, users, periods, at=at, over_for=over_for)):
            rejected = " (rejected)" if row.status == TimesheetStatus.rejected else ""
            duties[row.owner_id].to_submit.append(f"{row.period_first_day} to {row.period_last_day}{rejected}")
    return duties


def _load_waiting(session: Session, _operator: None) -> dict[int, Waiting]:
    """Return what waits for each decider."""
    submitted = session.execute(_WAITING).all()
    users = {user.id: user for user in session.execute(_DECIDERS)} if submitted else {}
    waiting: dict[int, Waiting] = {}
    for row in submitted:
        sheets = Waiting(row.sheets, row.since)
        for user_id in _deciders(users, row.user_id):
            waiting[user_id] = waiting[user_id] + sheets if user_id in waiting else sheets
    return waiting


def _deciders(users: Mapping[int, Row[Any]], owner_id: int) -> list[int]:
    """Return the first active manager above the user, or else all active admins."""
    seen = {owner_id}  # SQL may have made a cycle
    manager_id = users[owner_id].manager_id
    while manager_id is not None and manager_id not in seen:
        if users[manager_id].is_active:
            return [manager_id]
        seen.add(manager_id)
        manager_id = users[manager_id].manager_id
    return [user.id for user in users.values() if user.is_active and user.role == Role.admin and user.id != owner_id]


def _mail(user: Row[Any], duties: Duties, *, at: datetime) -> Mail:
    things = "1 thing" if duties.count == 1 else f"{duties.count} things"
    return Mail(user.email, f"Your hours: {things} to do", "\n".join(_lines(user.first_name, duties, at=at)))


def _lines(first_name: str, duties: Duties, *, at: datetime) -> Iterator[str]:
    yield f"Hello {first_name},\n"
    yield from _list("These entries are still running. Clock out, or correct them:", duties.running_long)
    yield from _list("These entries need review. Correct them, or mark them as reviewed:", duties.to_review)
    yield from _list("These timesheets are not submitted:", duties.to_submit)
    if duties.to_decide is not None:
        days = (at - duties.to_decide.since).days
        yield f"Timesheets that wait for your decision: {duties.to_decide.sheets}, the oldest for {days} days.\n"
    yield "You get this e-mail once a day at most, while something is to be done.\n"


def _list(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (f"- {line}" for line in lines[:MAX_LINES])
        if len(lines) > MAX_LINES:
            yield f"- and {len(lines) - MAX_LINES} more"
        yield ""


def _local(instant: datetime, zone: str) -> str:
    return f"{instant.astimezone(zone_info(zone)):%Y-%m-%d %H:%M}"
