"""What exports a person has going: each is a file on our disk for as long as its reader takes."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class ExportSlot(SQLModel, table=True):
    """One of a person's two. Free once `held_until` has passed: a worker that died can't give it back."""

    __tablename__ = "export_slot"
    __table_args__ = (
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_export_slot_user_id_user"),
        CheckConstraint("number IN (1, 2)", name="ck_export_slot_two_at_once"),
    )

    user_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    holder: str = Field(max_length=32)
    held_until: datetime = Field(sa_column=Column(Instant, nullable=False))
