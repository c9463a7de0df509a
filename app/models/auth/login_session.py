"""Login sessions: one for each login on a device."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class LoginSession(SQLModel, table=True):
    """A login session. Ending it deletes the row.

    `refresh_hash` is the SHA-256 of the current refresh token. `spent_hash` is that of the previous one, which the
    client may send again if the response was lost.
    """

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
