"""Exports as CSV and JSON lines. The database renders the text, because building rows in Python is slower."""

from collections.abc import Callable, Sequence
from contextlib import closing

from app.core.database.rendering import csv_cell
from app.core.database.rows import Column, RowsT, row_as_json
from app.core.server.spool import Write
from app.core.spreadsheet import CsvDialect


def write_csv(
    rows: RowsT,
    columns: Sequence[Column[RowsT]],
    write: Write,
    on_rows: Callable[[int], None],
    *,
    dialect: CsvDialect,
) -> None:
    """Write the header and one line per row (RFC 4180, UTF-8). Spreadsheet formulas in texts are escaped."""
    header = f"{dialect.mark}{dialect.delimiter.join(column.name for column in columns)}\r\n".encode()

    def write_chunk(chunk: bytes) -> None:
        nonlocal header  # sent with the first rows, because the statement may fail before them
        write(header + chunk)
        on_rows((header + chunk).count(b"\n"))  # approximate: also counts the header and line breaks in texts
        header = b""

    cells = (csv_cell(column.expression(rows), column.type, dialect) for column in columns)
    rows.session.write_csv(rows.select(*cells), write_chunk, delimiter=dialect.delimiter)
    if header:
        write_chunk(b"")


def write_json_lines(
    rows: RowsT, columns: Sequence[Column[RowsT]], write: Write, on_rows: Callable[[int], None]
) -> None:
    """Write one JSON object per row and line. Texts are not escaped for spreadsheets, because programs read them."""
    with closing(rows.stream(row_as_json(rows, columns))) as batches:  # `write` fails if the reader is gone
        for lines in batches:
            write("".join(f"{line}\n" for (line,) in lines).encode())
            on_rows(len(lines))
