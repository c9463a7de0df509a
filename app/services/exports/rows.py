"""The rows of an export as Python values, for the formats that are not written by the database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select

from app.core.database.execution_options import ROWS_AT_ONCE
from app.core.database.session import Session
from app.services.exports.columns import Column, Kind

Record = dict[str, Any]
OnRows = Callable[[int], None]
Told = Mapping[Kind, Callable[[Any], Any]]


def no_progress(_: int) -> None:
    """Nobody looks on."""


def shown_as_value(_: Column, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A column's expression as it is: an int, str, bool or datetime, or None where there is none."""
    return value


def records(
    session: Session, columns: Sequence[Column], entries: Select[Any], told: Told, on_rows: OnRows
) -> Iterator[Record]:
    """The rows, by the columns' names, each value told by its kind; read bit by bit.

    Closed whatever happens: on SQLite a statement read half-way would keep the connection in the past, for whoever
    gets it next, until the garbage collector comes by.
    """
    cells = [(number, column.name, told.get(column.kind)) for number, column in enumerate(columns)]
    with session.execute(entries, execution_options={"yield_per": ROWS_AT_ONCE}) as rows:
        for some in rows.partitions():
            for row in some:
                yield {
                    name: value if tell is None or value is None else tell(value)
                    for number, name, tell in cells
                    for value in (row[number],)
                }
            on_rows(len(some))
