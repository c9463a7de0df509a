"""Failed logins and known addresses, for the limit on failed logins."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class FailedLogin(SQLModel, table=True):
    """A failed login of the last hour. The next failed login deletes older ones.

    `account` is a keyed digest of the e-mail, whether or not such a user exists, so that the limit does not reveal it.
    An attempt that was rejected by the limit of an address or account has another digest, and no address.
    """

    __tablename__ = "failed_login"
    __table_args__ = (
        Index("ix_failed_login_account_at", "account", "at"),
        Index("ix_failed_login_address_at", "address", "at"),
        Index("ix_failed_login_at", "at"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    account: str = Field(max_length=64)
    address: str = Field(max_length=49)
    at: datetime = Field(sa_column=Column(Instant, nullable=False))


class KnownAddress(SQLModel, table=True):
    """An IP address from which a user has logged in. Failed logins from other addresses do not block logins from it."""

    __tablename__ = "known_address"
    __table_args__ = (ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_known_address_user_id_user"),)

    user_id: int = Field(primary_key=True)
    address: str = Field(primary_key=True, max_length=49)
    last_login_at: datetime = Field(sa_column=Column(Instant, nullable=False))
