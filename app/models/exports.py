"""The table in which 0.7 counts the exports of a user. Since 0.8 each worker process counts its own, in its memory."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Integer
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class ExportSlot(SQLModel, table=True):
    """One of a user's two exports. Nothing reads or writes it since 0.8, and 0.9 drops it: 0.7 still needs it while a
    rolling upgrade replaces its workers."""

    __tablename__ = "export_slot"
    __table_args__ = (
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_export_slot_user_id_user"),
        CheckConstraint("number IN (1, 2)", name="ck_export_slot_two_at_once"),
        {"info": {"is_unused": True}},
    )

    user_id: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    number: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    holder: str = Field(max_length=32)
    held_until: datetime = Field(sa_column=Column(Instant, nullable=False))
