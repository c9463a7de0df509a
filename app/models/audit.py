"""The audit log. Triggers in the migrations make it append-only and keep its chains consistent."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Text, text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant

BY_ANOTHER = text("actor_id <> chain_id")


class AuditEvent(SQLModel, table=True):
    """An audit event, which is one link of a chain.

    `chain_id` is the id of the user concerned, or 0 if there is none (a project, a login with an unknown e-mail).
    `before` and `after` are canonical JSON, as it was hashed. In them and in `reason`, personal values are replaced by
    digests. `personal` contains the values and their salt. There are no foreign keys because events outlive the objects
    that they describe.
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
    """The head of a chain: the number of its links and its last link. Only a trigger on `audit_event` updates it."""

    __tablename__ = "audit_chain"

    chain_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    length: int = Field(sa_column=Column(BigInteger, nullable=False))
    last_link: str = Field(max_length=64)
