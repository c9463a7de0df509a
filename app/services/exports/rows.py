"""The rows of an export as Python values, for the formats that are not written by the database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from app.core.database.rendering import CellType
from app.services.time_entries.columns import Column, EntryRows

Record = dict[str, Any]
Formatters = Mapping[CellType, Callable[[Any], Any]]


def records(
    rows: EntryRows, columns: Sequence[Column], formatters: Formatters, on_rows: Callable[[int], None]
) -> Iterator[Record]:
    """The rows by the columns' names, each value but a missing one formatted by its type; read bit by bit."""
    cells = [(column.name, formatters.get(column.type)) for column in columns]
    for some in rows.stream(*(column.of(rows) for column in columns)):
        for row in some:
            yield {
                name: value if format_value is None or value is None else format_value(value)
                for (name, format_value), value in zip(cells, row, strict=True)
            }
        on_rows(len(some))
