"""The record: what happened to whom, by whom, when and why. Append-only and chained, by triggers in the migrations."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Text, text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant

BY_ANOTHER = text("actor_id <> chain_id")


class AuditEvent(SQLModel, table=True):
    """One link of a chain. `chain_id` is the person it concerns, or 0 where there is none: a project, an unknown login.

    `before` and `after` are canonical JSON, in the text that was hashed. In them, and in `reason`, a personal value is
    a digest, whose value and salt stand in `personal`. No foreign keys: an event outlives what it tells of.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_at", "at", "chain_id", "position"),
        Index("ix_audit_event_object", "object_type", "object_id"),
        Index("ix_audit_event_by_another", "actor_id", "at", sqlite_where=BY_ANOTHER, postgresql_where=BY_ANOTHER),
        {"sqlite_with_rowid": False},
    )

    chain_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    position: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at: datetime = Field(sa_column=Column(Instant, nullable=False))
    action: str = Field(max_length=64)
    actor_id: int | None = None
    object_type: str = Field(max_length=32)
    object_id: int | None = None
    before: str | None = Field(default=None, sa_column=Column(Text))
    after: str | None = Field(default=None, sa_column=Column(Text))
    reason: str | None = Field(default=None, max_length=80)
    personal: str | None = Field(default=None, sa_column=Column(Text))
    request_id: str = Field(max_length=64)
    key_id: str = Field(max_length=16)
    link: str = Field(max_length=64)


class AuditChain(SQLModel, table=True):
    """The head of a chain: how many links it has, and the last one. Only a trigger on the events moves it."""

    __tablename__ = "audit_chain"

    chain_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    length: int = Field(sa_column=Column(BigInteger, nullable=False))
    last_link: str = Field(max_length=64)
