"""Time entries: each is a period of work by one user on one project."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant

OPEN = text("end_time IS NULL")
# SQLite uses a partial index only for a condition of the same text, and SQLAlchemy renders this one.
_FLAGGED_ON_SQLITE = text("needs_review = 1")


class TimeEntry(SQLModel, table=True):
    """A time entry, open while `end_time` is NULL.

    The migrations add `ex_time_entry_no_overlap`, which rejects overlaps between a user's entries. It is an exclusion
    constraint on PostgreSQL and triggers on SQLite. Triggers named `ck_time_entry_locked` reject any change of an entry
    with a `timesheet_id`, but to remove that id.
    """

    __tablename__ = "time_entry"
    __table_args__ = (
        CheckConstraint("end_time >= start_time", name="ck_time_entry_ends_after_start"),
        Index("uq_time_entry_one_open_per_user", "user_id", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        Index("ix_time_entry_user_id_start_time", "user_id", "start_time"),
        Index("ix_time_entry_start_time", "start_time", "id"),
        Index("ix_time_entry_project_id", "project_id"),
        Index(
            "ix_time_entry_needs_review",
            "start_time",
            sqlite_where=_FLAGGED_ON_SQLITE,
            postgresql_where=text("needs_review"),
        ),
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_time_entry_user_id_user"),
        ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_time_entry_project_id_project"),
        ForeignKeyConstraint(["timesheet_id"], ["timesheet.id"], name="fk_time_entry_timesheet_id_timesheet"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    project_id: int
    start_time: datetime = Field(sa_column=Column(Instant, nullable=False))
    end_time: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
    description: str = Field(max_length=2000)
    time_zone: str = Field(max_length=64)
    needs_review: bool = False
    version: int = 1
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    updated_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    timesheet_id: int | None = None
