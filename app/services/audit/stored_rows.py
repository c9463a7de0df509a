"""Reading of whole tables in order, also if a row holds a value that cannot be read."""

from collections.abc import Generator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Table, select, true, tuple_
from sqlalchemy.exc import OperationalError

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.session import Session


class AuditChainBroken(Exception):
    """The audit log or a checkpoint was changed. The message names the first broken link or line."""


def read_rows(
    session: Session,
    table: Table,
    columns: Sequence[ColumnElement[Any]] = (),
    order: Sequence[Column[Any]] = (),
    where: ColumnElement[bool] | None = None,
) -> Generator[Row[Any]]:
    """Yield the rows of a table in batches: all rows, with all columns and by primary key unless given.

    `order` must be unique and among `columns`. If a batch cannot be read, its rows are read one by one, so that the
    error names the place of the unreadable row. Raises AuditChainBroken.
    """
    key, last = tuple(order or table.primary_key), None
    for batch_size in (FETCH_SIZE, 1):
        after_last: ColumnElement[bool] = true()
        if last is not None:
            last_key = tuple_(*(getattr(last, column.name) for column in key), types=[column.type for column in key])
            after_last = tuple_(*key) > last_key
        query = select(*(columns or table.c)).where(after_last, true() if where is None else where).order_by(*key)
        try:
            with session.execute(query, execution_options={"yield_per": batch_size}) as rows:
                for last in rows:
                    yield last
        except (TypeError, ValueError, LookupError, OverflowError, OSError):  # of the wrong type, or out of range
            continue
        except OperationalError as error:
            if "Could not decode" not in str(error.orig):  # SQLite: text that isn't UTF-8
                raise
            continue
        return
    location = "at the start"
    if last is not None:
        names = {"chain_id": "chain", "position": "link", "user_id": "user"}
        values = (f"{names.get(column.name, column.name)} {getattr(last, column.name)}" for column in key)
        location = f"after {', '.join(values)}"
    raise AuditChainBroken(f"The row of {table.name} {location} cannot be read. A column holds an invalid value.")
