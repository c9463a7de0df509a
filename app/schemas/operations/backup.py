"""The manifest of a backup."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

EngineName = Literal["sqlite", "postgresql"]


class DatabaseInventory(BaseModel):
    """Counts and chain heads of a database. After a restore, they must be equal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str
    tables: dict[str, int]
    """Number of rows by table."""
    entries: dict[int, tuple[int, int]]
    """By user id: number of entries, and total seconds of the closed ones."""
    chains: dict[int, tuple[int, str]]
    """By audit chain: number of links, and the MAC of the last link."""


class DumpFile(BaseModel):
    """The dump file, which the manifest describes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int
    sha256: str
    made_by: int
    """Major version of pg_dump, or 0 for an SQLite copy."""


class Manifest(BaseModel):
    """The version, engine and time of a backup, and an inventory of the database at that time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    version: str
    engine: EngineName
    taken_at: datetime
    facts: DatabaseInventory
    content: DumpFile
