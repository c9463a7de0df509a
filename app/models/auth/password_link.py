"""Password links, with which a user sets a new password."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class PasswordLink(SQLModel, table=True):
    """A user's password link, which works once. A user has at most one: a new link replaces the previous one."""

    __tablename__ = "password_link"
    __table_args__ = (
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_password_link_user_id_user"),
        Index("uq_password_link_token_hash", "token_hash", unique=True),
    )

    user_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    token_hash: str = Field(max_length=64)
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    expires_at: datetime = Field(sa_column=Column(Instant, nullable=False))
