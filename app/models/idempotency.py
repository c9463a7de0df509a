"""Stored responses, so that a retried request is not executed twice."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class IdempotencyKey(SQLModel, table=True):
    """A response stored under a user's idempotency key. Different users may choose the same key.

    `fingerprint` is a digest of the request, to detect the reuse of a key for another request. There is no foreign key
    because the row is written under the user's lock, and its check would slow down each punch.
    """

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("ix_idempotency_key_created_at", "created_at"),)

    user_id: int = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: str = Field(max_length=64)
    answer: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
