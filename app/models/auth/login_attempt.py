"""Failed logins and known addresses, for the limit on failed logins, and the count of refused logins."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, Integer
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


class RefusedLogin(SQLModel, table=True):
    """Refused logins of an account that are not in the audit log yet.

    `chain_id` is the user's id, or 0 for all e-mails that belong to no user. From `due_at` on, an event takes over the
    counts. Without a refused login since the last event, `first_at` and `last_at` are null. Then the row is deleted.
    """

    __tablename__ = "refused_login"
    __table_args__ = (Index("ix_refused_login_due_at", "due_at"),)

    chain_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    due_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    first_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
    last_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
    wrong_passwords: int = Field(sa_column=Column(BigInteger, nullable=False))
    missing_codes: int = Field(sa_column=Column(BigInteger, nullable=False))
    rejected_codes: int = Field(sa_column=Column(BigInteger, nullable=False))
    over_limit: int = Field(sa_column=Column(BigInteger, nullable=False))
