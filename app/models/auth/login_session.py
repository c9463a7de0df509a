"""Sessions: that somebody logged in on a device, and stays logged in there until it ends."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class LoginSession(SQLModel, table=True):
    """A session that lives; one that ended has no row. Of its refresh token there is only the SHA-256: of the one that
    is good now, and of the one before it, whose answer may have been lost on its way."""

    __tablename__ = "login_session"
    __table_args__ = (
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_login_session_user_id_user"),
        Index("ix_login_session_user_id", "user_id"),
        Index("ix_login_session_expires_at", "expires_at"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    user_id: int
    refresh_hash: str = Field(max_length=64)
    spent_hash: str | None = Field(default=None, max_length=64)
    refreshed_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    device: str = Field(max_length=200)
    address: str = Field(max_length=45)
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    last_used_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    expires_at: datetime = Field(sa_column=Column(Instant, nullable=False))
