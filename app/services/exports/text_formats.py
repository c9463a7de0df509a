"""Exports as CSV and as JSON lines, whose text the database writes: no row is built in Python."""

from collections.abc import Callable, Sequence

from app.core.database.rendering import csv_cell
from app.core.server.spool import Write
from app.services.time_entries.columns import Column, EntryRows, row_as_json


def write_csv(rows: EntryRows, columns: Sequence[Column], write: Write, on_rows: Callable[[int], None]) -> None:
    """Write the header and a line for each row (RFC 4180, UTF-8); texts are safe for spreadsheets."""
    header = f"{','.join(column.name for column in columns)}\r\n".encode()

    def write_chunk(chunk: bytes) -> None:
        nonlocal header  # it goes out with the first lines: before them the statement may fail
        write(header + chunk)
        on_rows((header + chunk).count(b"\n"))  # the header for one, and breaks within a text
        header = b""

    cells = (csv_cell(column.expression(rows), column.type) for column in columns)
    rows.session.write_csv(rows.select(*cells), write_chunk)
    if header:
        write_chunk(b"")


def write_json_lines(rows: EntryRows, columns: Sequence[Column], write: Write, on_rows: Callable[[int], None]) -> None:
    """Write an object for each row, on a line of its own; for programs, so texts are as people typed them."""
    for lines in rows.stream(row_as_json(rows, columns)):
        write("".join(f"{line}\n" for (line,) in lines).encode())
        on_rows(len(lines))
