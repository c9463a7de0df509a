"""CSV cells and JSON values that the database renders, so that no row becomes a Python object."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, literal

from app.core.database.dialect import date_text, format_string, instant_text, json_string, time_text
from app.core.spreadsheet import STANDARD_DIALECT, CsvDialect, escaped_csv_text, escaped_semicolon_csv_text


class CellType(Enum):
    """Type of a value, which selects its format."""

    number = auto()
    """A whole number."""
    text = auto()
    date = auto()
    """The date of a local time."""
    day = auto()
    """A stored date."""
    time = auto()
    """The time of day of a local time."""
    hours = auto()
    """Whole seconds, rendered as hours."""
    instant = auto()
    flag = auto()


def csv_cell(
    value: ColumnElement[Any], cell_type: CellType, dialect: CsvDialect = STANDARD_DIALECT
) -> ColumnElement[Any]:
    """Return the value as a CSV cell, escaped against formula injection. NULL means an empty cell."""
    if cell_type is CellType.hours:
        return _render_hours(value, dialect.decimal)
    if cell_type is CellType.text and dialect.delimiter == ";":
        return escaped_semicolon_csv_text(value)
    return _RENDERERS[cell_type](value)


def json_value(value: ColumnElement[Any], cell_type: CellType) -> ColumnElement[str]:
    """Return the value as JSON. Text is not escaped against formulas, and NULL becomes `null`."""
    if cell_type is CellType.text:
        rendered: ColumnElement[str] = json_string(value)
    elif cell_type in {CellType.date, CellType.day, CellType.time, CellType.instant}:
        rendered = literal('"', Text).concat(csv_cell(value, cell_type)).concat('"')
    else:
        rendered = cast(csv_cell(value, cell_type), Text)
    return func.coalesce(rendered, "null")


def json_object(values: Mapping[str, ColumnElement[str]]) -> ColumnElement[str]:
    """Return a JSON object. The values must be JSON already."""
    fields = ",".join(f'"{name}":%s' for name in values)
    return format_string(f"{{{fields}}}", *values.values())


def _render_number(value: ColumnElement[int]) -> ColumnElement[int]:
    return value


def _render_hours(seconds: ColumnElement[int], decimal: str) -> ColumnElement[str]:
    """Hours with one or two decimals, rounded half up. Must match `schemas.types.hours`."""
    hundredths = (seconds * 100 + 1800) // 3600
    fraction = hundredths % 100
    decimals = case((fraction % 10 == 0, cast(fraction // 10, Text)), else_=func.substr(cast(fraction + 100, Text), 2))
    return cast(hundredths // 100, Text).concat(decimal).concat(decimals)


def _render_flag(value: ColumnElement[bool]) -> ColumnElement[str]:
    return case((value, "true"), else_="false")


_RENDERERS: dict[CellType, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
    CellType.number: _render_number,
    CellType.text: escaped_csv_text,
    CellType.date: date_text,
    CellType.day: lambda day: cast(day, Text),
    CellType.time: time_text,
    CellType.instant: instant_text,
    CellType.flag: _render_flag,
}
