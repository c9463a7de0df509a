"""Values as text of CSV and of JSON, written by the database: no row becomes an object in Python."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, Text, case, cast, func, literal

from app.core.database.dialect import date_text, format_string, instant_text, json_string, time_text
from app.core.spreadsheet import escaped_csv_text


class CellType(Enum):
    """What a cell holds, which says how it is written."""

    number = auto()
    """A whole number."""
    text = auto()
    date = auto()
    """The date of a wall time."""
    time = auto()
    """The time of day of a wall time."""
    hours = auto()
    """Whole seconds, shown as hours."""
    instant = auto()
    flag = auto()


def csv_cell(value: ColumnElement[Any], cell_type: CellType) -> ColumnElement[Any]:
    """The value as a cell of CSV, safe for spreadsheets; NULL where the cell is empty."""
    return _RENDERERS[cell_type](value)


def json_value(value: ColumnElement[Any], cell_type: CellType) -> ColumnElement[str]:
    """The value as JSON: a text as it is, one that is missing as null."""
    if cell_type is CellType.text:
        rendered: ColumnElement[str] = json_string(value)
    elif cell_type in {CellType.date, CellType.time, CellType.instant}:
        rendered = literal('"', Text).concat(csv_cell(value, cell_type)).concat('"')
    else:
        rendered = cast(csv_cell(value, cell_type), Text)
    return func.coalesce(rendered, "null")


def json_object(values: Mapping[str, ColumnElement[str]]) -> ColumnElement[str]:
    """A JSON object of values that are JSON, by their names."""
    fields = ",".join(f'"{name}":%s' for name in values)
    return format_string(f"{{{fields}}}", *values.values())


def _render_number(value: ColumnElement[int]) -> ColumnElement[int]:
    return value


def _render_hours(seconds: ColumnElement[int]) -> ColumnElement[str]:
    """Hours with one or two decimals, rounded half up: `schemas.types.hours`, as Python writes it."""
    hundredths = (seconds * 100 + 1800) // 3600
    fraction = hundredths % 100
    decimals = case((fraction % 10 == 0, cast(fraction // 10, Text)), else_=func.substr(cast(fraction + 100, Text), 2))
    return cast(hundredths // 100, Text).concat(".").concat(decimals)


def _render_flag(value: ColumnElement[bool]) -> ColumnElement[str]:
    return case((value, "true"), else_="false")


_RENDERERS: dict[CellType, Callable[[ColumnElement[Any]], ColumnElement[Any]]] = {
    CellType.number: _render_number,
    CellType.text: escaped_csv_text,
    CellType.date: date_text,
    CellType.time: time_text,
    CellType.hours: _render_hours,
    CellType.instant: instant_text,
    CellType.flag: _render_flag,
}
