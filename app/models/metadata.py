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


def required_privileges() -> dict[str, tuple[str, ...]]:
    """Return the privileges on each table that the service's database role needs (deploy/postgresql)."""
    fewer = {
        "alembic_version": ("SELECT",),
        "audit_event": ("SELECT", "INSERT"),
        "audit_chain": ("SELECT", "INSERT", "UPDATE"),
        "global_lock": ("SELECT", "UPDATE"),
        "user": ("SELECT", "INSERT", "UPDATE"),
        "project": ("SELECT", "INSERT", "UPDATE"),
        "timesheet": ("SELECT", "INSERT", "UPDATE"),
        "payroll_lock": ("SELECT", "UPDATE"),
    }
    return dict.fromkeys(all_tables().tables, ("SELECT", "INSERT", "UPDATE", "DELETE")) | fewer


def own_tables() -> frozenset[str]:
    """Return the names of all tables that the migrations create at any revision, with `alembic_version`."""
    return frozenset(all_tables().tables) | DROPPED_TABLES | {"alembic_version"}
