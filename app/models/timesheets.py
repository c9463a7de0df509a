"""Timesheets: the periods of users' hours, which are submitted and approved, and the days that are locked."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Column, Enum, ForeignKeyConstraint, Index, SmallInteger, text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant

WAITING = text("status = 'submitted'")
ENTRIES_LOCK = "entries"
"""The name of the row of `payroll_lock` that holds the lock date of entries. A migration inserts it."""


class PeriodKind(StrEnum):
    """Lengths of the periods: 7 days, 14 days, 1st to 15th and 16th to the end of the month, a calendar month."""

    week = "week"
    two_weeks = "two_weeks"
    half_month = "half_month"
    month = "month"


class TimesheetStatus(StrEnum):
    open = "open"
    submitted = "submitted"
    approved = "approved"
    rejected = "rejected"


def _enum_column(name: str, enum: type[StrEnum]) -> Column[str]:
    values = [member.value for member in enum]
    return Column(name, Enum(enum, native_enum=False, length=16, values_callable=lambda _: values), nullable=False)


def _instant_or_null() -> Column[datetime]:
    return Column(Instant, nullable=True)


class TimesheetRule(SQLModel, table=True):
    """The kind of period that holds from a day on, until the day before the next rule."""

    __tablename__ = "timesheet_rule"
    __table_args__ = (
        CheckConstraint("period IN ('week', 'two_weeks', 'half_month', 'month')", name="ck_timesheet_rule_period"),
        ForeignKeyConstraint(["created_by"], ["user.id"], name="fk_timesheet_rule_created_by_user"),
    )

    valid_from: date = Field(primary_key=True)
    period: PeriodKind = Field(sa_column=_enum_column("period", PeriodKind))
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    created_by: int


class Timesheet(SQLModel, table=True):
    """A user's period that was submitted at least once. Before that, it has no row and is open.

    `total_seconds`, `entries` and `digest` describe the locked entries, so they are NULL while the period is open.
    `returned_at` is when it was last rejected or reopened, until it is approved. `decided_by` is NULL in an approved
    one if nobody else could decide.
    """

    __tablename__ = "timesheet"
    __table_args__ = (
        CheckConstraint("last_day >= first_day", name="ck_timesheet_days"),
        CheckConstraint("status IN ('open', 'submitted', 'approved', 'rejected')", name="ck_timesheet_status"),
        CheckConstraint("(status IN ('submitted', 'approved')) = (digest IS NOT NULL)", name="ck_timesheet_locked"),
        CheckConstraint("decided_by <> user_id", name="ck_timesheet_not_by_oneself"),
        Index("uq_timesheet_user_id_first_day", "user_id", "first_day", unique=True),
        Index("ix_timesheet_first_day", "first_day"),
        Index("ix_timesheet_waiting", "submitted_at", "id", sqlite_where=WAITING, postgresql_where=WAITING),
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_timesheet_user_id_user"),
        ForeignKeyConstraint(["submitted_by"], ["user.id"], name="fk_timesheet_submitted_by_user"),
        ForeignKeyConstraint(["decided_by"], ["user.id"], name="fk_timesheet_decided_by_user"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    first_day: date
    last_day: date
    status: TimesheetStatus = Field(sa_column=_enum_column("status", TimesheetStatus))
    version: int = 1
    total_seconds: int | None = Field(default=None, sa_column=Column(BigInteger))
    entries: int | None = None
    digest: str | None = Field(default=None, max_length=64)
    digest_version: int | None = Field(default=None, sa_column=Column(SmallInteger))
    submitted_at: datetime | None = Field(default=None, sa_column=_instant_or_null())
    submitted_by: int | None = None
    decided_at: datetime | None = Field(default=None, sa_column=_instant_or_null())
    decided_by: int | None = None
    returned_at: datetime | None = Field(default=None, sa_column=_instant_or_null())
    comment: str | None = Field(default=None, max_length=500)


class PayrollLock(SQLModel, table=True):
    """The lock date: entries that start before the local day `before_day` are closed to everybody."""

    __tablename__ = "payroll_lock"
    __table_args__ = (ForeignKeyConstraint(["changed_by"], ["user.id"], name="fk_payroll_lock_changed_by_user"),)

    name: str = Field(primary_key=True, max_length=16)
    before_day: date | None = None
    version: int = 1
    changed_at: datetime | None = Field(default=None, sa_column=_instant_or_null())
    changed_by: int | None = None


class Reminder(SQLModel, table=True):
    """The day on which a user was last reminded by e-mail, so that nobody gets two in a day."""

    __tablename__ = "reminder"
    __table_args__ = (ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_reminder_user_id_user"),)

    user_id: int = Field(primary_key=True)
    day: date
