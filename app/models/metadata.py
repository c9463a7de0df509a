"""Metadata of all tables, for migrations, schema checks and backups."""

import pkgutil
from importlib import import_module

from sqlalchemy import MetaData
from sqlmodel import SQLModel

import app.models

DROPPED_TABLES = frozenset({"export_slot"})
"""Tables without a model, which a migration drops.

They exist in databases and backups of older revisions. A restore fills tables of the backup's revision and then
migrates them.
"""


def all_tables() -> MetaData:
    """Return the metadata of all tables. It imports every module of this package, so that none is forgotten."""
    for module in pkgutil.walk_packages(app.models.__path__, f"{app.models.__name__}."):
        import_module(module.name)
    return SQLModel.metadata


def own_tables() -> frozenset[str]:
    """Return the names of all tables that the migrations create at any revision, with `alembic_version`."""
    return frozenset(all_tables().tables) | DROPPED_TABLES | {"alembic_version"}
