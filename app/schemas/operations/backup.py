"""What a backup says of itself."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

EngineName = Literal["sqlite", "postgresql"]


class DatabaseInventory(BaseModel):
    """What a database holds, in numbers that a restored one must have too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    tables: dict[str, int]
    """The rows of each."""
    entries: dict[int, tuple[int, int]]
    """Of each person: how many entries, and the seconds of the closed ones."""
    chains: dict[int, tuple[int, str]]
    """Of each chain of the record: how many links, and the last one."""


class DumpFile(BaseModel):
    """The dump that lies beside the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int
    sha256: str
    made_by: int
    """The major version of pg_dump; 0 for a copy by SQLite."""


class Manifest(BaseModel):
    """Which version took the backup, of which engine, when, and what was in the database at that moment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    version: str
    engine: EngineName
    taken_at: datetime
    facts: DatabaseInventory
    content: DumpFile
