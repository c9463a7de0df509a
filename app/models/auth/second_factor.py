"""The second factor: one-time codes (TOTP, RFC 6238), and recovery codes for a lost device."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Integer, text
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class SecondFactor(SQLModel, table=True):
    """A user's TOTP secret, encrypted. It is required at login after it was confirmed.

    `last_step` is the time step of the last accepted code, so that no code works twice. `wrong_codes` counts the wrong
    codes behind a right password. A login does not reset it. Before the confirmation, it
    counts the wrong codes for the enrollment.
    """

    __tablename__ = "second_factor"
    __table_args__ = (ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_second_factor_user_id_user"),)

    user_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    secret: str = Field(max_length=200)
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    confirmed_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
    last_step: int = Field(sa_column=Column(BigInteger, nullable=False))
    wrong_codes: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))


class RecoveryCode(SQLModel, table=True):
    """The SHA-256 of an unused recovery code. A fast hash is enough because a code has 140 random bits."""

    __tablename__ = "recovery_code"
    __table_args__ = (ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_recovery_code_user_id_user"),)

    user_id: int = Field(primary_key=True)
    code_hash: str = Field(primary_key=True, max_length=64)
