"""Rows of a statement, and columns that describe them once for all formats: CSV, XLSX and JSON."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select

from app.core.database.execution_options import FETCH_SIZE
from app.core.database.rendering import CellType, json_object, json_value
from app.core.database.session import Session


class Rows(ABC):
    """The rows of a file or response. A subclass has the expressions that its columns use."""

    session: Session

    @abstractmethod
    def select(self, *expressions: ColumnElement[Any]) -> Select[Any]:
        """Return the statement that selects the expressions for each row, in the order of the rows."""

    def stream(self, *expressions: ColumnElement[Any], limit: int | None = None) -> Generator[Sequence[Any]]:
        """Run that statement and yield its rows in batches of FETCH_SIZE.

        The result is always closed. On SQLite, a result that is not read to its end keeps the snapshot of the
        connection. The next user of the connection would then read old data.
        """
        statement = self.select(*expressions).limit(limit)
        with self.session.execute(statement, execution_options={"yield_per": FETCH_SIZE}) as rows:
            yield from rows.partitions()


RowsT = TypeVar("RowsT", bound=Rows)


@dataclass(frozen=True)  # slots would forbid `Column[EntryRows](...)`
class Column(Generic[RowsT]):
    """A named expression. Its type and the format determine how the value is rendered (see rendering.py)."""

    name: str
    type: CellType
    expression: Callable[[RowsT], ColumnElement[Any]]


def row_as_json(rows: RowsT, columns: Sequence[Column[RowsT]], **extra: ColumnElement[str]) -> ColumnElement[str]:
    """Return the expression of a JSON object with these columns, and with `extra` fields that are already JSON."""
    return json_object({column.name: json_value(column.expression(rows), column.type) for column in columns} | extra)
