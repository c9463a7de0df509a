"""Answers kept for a while, so that a request sent again is answered again and not done again."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class IdempotencyKey(SQLModel, table=True):
    """A key is its sender's: two people may choose the same. `fingerprint` tells whether it is the same request.

    No foreign key: it is written under the sender's lock, and checking it again would cost each punch a look.
    """

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("ix_idempotency_key_created_at", "created_at"),)

    user_id: int = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: str = Field(max_length=64)
    answer: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
