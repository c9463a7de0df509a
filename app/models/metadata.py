"""All tables at once, for who compares them with a database: migrations and their tests."""

import pkgutil
from importlib import import_module

from sqlalchemy import MetaData
from sqlmodel import SQLModel

import app.models


def all_tables() -> MetaData:
    """The tables of every module here: a new one can't be forgotten."""
    for module in pkgutil.iter_modules(app.models.__path__):
        import_module(f"{app.models.__name__}.{module.name}")
    return SQLModel.metadata
