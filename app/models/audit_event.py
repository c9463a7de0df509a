"""The record: what happened to whom, by whom, when and why. Append-only, by triggers in the migrations."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel

from app.models.types import Instant


class AuditEvent(SQLModel, table=True):
    """No foreign keys: an event outlives what it tells of. `subject_id` is the person it concerns, if one is known."""

    __tablename__ = "audit_event"
    __table_args__ = (
        Index("ix_audit_event_subject_id", "subject_id", "id"),
        Index("ix_audit_event_object", "object_type", "object_id"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    )
    at: datetime = Field(sa_column=Column(Instant, nullable=False))
    action: str = Field(max_length=64)
    actor_id: int | None = None
    subject_id: int | None = None
    object_type: str = Field(max_length=32)
    object_id: int | None = None
    before: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    after: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    reason: str | None = Field(default=None, max_length=500)
    request_id: str = Field(max_length=64)
