"""API tokens for scripts and terminals."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class ApiToken(SQLModel, table=True):
    """An API token, valid until `expires_at`. Revoking deletes the row. `scopes` are separated by spaces."""

    __tablename__ = "api_token"
    __table_args__ = (
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_api_token_user_id_user"),
        Index("uq_api_token_token_hash", "token_hash", unique=True),
        Index("ix_api_token_user_id", "user_id"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    name: str = Field(max_length=100)
    scopes: str = Field(max_length=200)
    token_hash: str = Field(max_length=64)
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    expires_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    last_used_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
