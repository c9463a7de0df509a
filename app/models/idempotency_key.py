"""Answers kept for a while, so that a request sent again is answered again and not done again."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Text
from sqlmodel import Field, SQLModel

from app.models.types import Instant


class IdempotencyKey(SQLModel, table=True):
    """A key is its sender's: two people may choose the same. `fingerprint` tells whether it is the same request."""

    __tablename__ = "idempotency_key"
    __table_args__ = (ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_idempotency_key_user_id_user"),)

    user_id: int = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: str = Field(max_length=64)
    answer: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
