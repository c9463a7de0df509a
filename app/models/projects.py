"""Projects, and the users who may book time on them."""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.core.database.column_types import Instant


class Project(SQLModel, table=True):
    __tablename__ = "project"
    __table_args__ = (
        Index("uq_project_name_key", "name_key", unique=True),
        Index("uq_project_code", "code", unique=True),
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=200)
    name_key: str = Field(max_length=400)
    is_active: bool = True
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    code: str | None = Field(default=None, max_length=50)


class ProjectMember(SQLModel, table=True):
    """A user who may book time on a project. A project without members is open to all users."""

    __tablename__ = "project_member"
    __table_args__ = (
        ForeignKeyConstraint(["project_id"], ["project.id"], name="fk_project_member_project_id_project"),
        ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_project_member_user_id_user"),
        Index("ix_project_member_user_id", "user_id"),
    )

    project_id: int = Field(primary_key=True)
    user_id: int = Field(primary_key=True)
