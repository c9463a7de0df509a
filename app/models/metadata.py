"""All tables at once, for who compares them with a database (migrations and their tests) or takes them out of it."""

import pkgutil
from importlib import import_module

from sqlalchemy import MetaData
from sqlmodel import SQLModel

import app.models

DROPPED_TABLES = frozenset({"export_slot"})
"""Tables that have no model any more, since a migration drops them. Databases of older revisions have them, and so do
the backups of those, which a restore puts into tables of the same revision before it migrates them."""


def all_tables() -> MetaData:
    """The tables of every module here: a new one can't be forgotten."""
    for module in pkgutil.walk_packages(app.models.__path__, f"{app.models.__name__}."):
        import_module(module.name)
    return SQLModel.metadata


def own_tables() -> frozenset[str]:
    """The names of all tables that migrations of ours make, at whatever revision, and of the one in which they note how
    far they are."""
    return frozenset(all_tables().tables) | DROPPED_TABLES | {"alembic_version"}
