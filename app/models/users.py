"""Users and their time zones."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Boolean, CheckConstraint, Column, Enum, ForeignKeyConstraint, Index, String, false
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class Role(StrEnum):
    employee = "employee"
    manager = "manager"
    admin = "admin"


def _role_column() -> Column[str]:
    values = [role.value for role in Role]
    return Column("role", Enum(Role, native_enum=False, length=16, values_callable=lambda _: values), nullable=False)


def _flag_column(name: str) -> Column[bool]:
    """A flag that is false for users who existed before the column."""
    return Column(name, Boolean, nullable=False, server_default=false())


class TimeZone(SQLModel, table=True):
    """A time zone that a user has or had. Reports read from here which time zones entries can have."""

    __tablename__ = "time_zone"
    name: str = Field(primary_key=True, max_length=64)


class User(SQLModel, table=True):
    __tablename__ = "user"
    __table_args__ = (
        Index("uq_user_email_key", "email_key", unique=True),
        Index("ix_user_manager_id", "manager_id"),
        ForeignKeyConstraint(["manager_id"], ["user.id"], name="fk_user_manager_id_user"),
        ForeignKeyConstraint(["time_zone"], ["time_zone.name"], name="fk_user_time_zone_time_zone"),
        CheckConstraint("manager_id <> id", name="ck_user_not_their_own_manager"),
        CheckConstraint("role IN ('employee', 'manager', 'admin')", name="ck_user_role"),
    )

    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(max_length=254)
    email_key: str = Field(max_length=400)
    first_name: str = Field(max_length=100)
    last_name: str = Field(max_length=100)
    name_key: str = Field(max_length=801)
    password_hash: str = Field(max_length=255)
    role: Role = Field(sa_column=_role_column())
    is_active: bool = True
    manager_id: int | None = None
    time_zone: str = Field(max_length=64)
    must_change_password: bool = Field(default=False, sa_column=_flag_column("must_change_password"))
    has_second_factor: bool = Field(default=False, sa_column=_flag_column("has_second_factor"))
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))


class NamedLock(SQLModel, table=True):
    """A row to lock for rules that span several users, such as the last admin and manager cycles."""

    __tablename__ = "global_lock"
    name: str = Field(sa_column=Column(String(32), primary_key=True))
