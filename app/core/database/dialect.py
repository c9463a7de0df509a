"""SQL constructs that compile to different SQL on SQLite and PostgreSQL.

A statement is therefore the same object on both, and can be built when its module is imported.
"""

from functools import partial
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Delete,
    Integer,
    Select,
    Table,
    TableValuedAlias,
    Text,
    delete,
    literal,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core.database.column_types import Instant, WallTime
from app.core.text import mark_run_pattern

upsert = insert
"""INSERT with ON CONFLICT. SQLite's compiler accepts PostgreSQL's construct too."""


def delete_batch(due: Select[Any], size: int) -> Delete:
    """Return a DELETE of the first `size` rows of a query, which selects the primary key of its table.

    Rows locked by another transaction are left out. The batch is a CTE, which PostgreSQL runs once. It may run a
    subquery of the same text again for each row of the table, skip what it has already deleted, and delete more.
    """
    (table,) = due.get_final_froms()
    batch = due.limit(size).with_for_update(skip_locked=True).cte("batch")
    return delete(cast(Table, table)).where(tuple_(*due.selected_columns).in_(select(*batch.columns)))


class _SqlFunction(FunctionElement[Any]):
    def __init_subclass__(cls) -> None:
        cls.inherit_cache = True  # safe: name and arguments are the whole state. SQLAlchemy reads it from each class.


class epoch(_SqlFunction):
    """A stored instant as seconds since 1970. Both databases add and subtract these fast and with the same result."""

    type = BigInteger()


class from_epoch(_SqlFunction):
    """Seconds since 1970 as a stored instant."""

    type = Instant()


class seconds_between(_SqlFunction):
    """Whole seconds from one stored instant to another."""

    type = BigInteger()


class whole_seconds(_SqlFunction):
    """Whole seconds of a number or an interval (the difference of two stored instants). Apply it once, to the sum."""

    type = BigInteger()


class earliest(_SqlFunction):
    """The earlier of two instants, or the smaller of two numbers of seconds."""

    def __init__(self, one: ColumnElement[Any], other: ColumnElement[Any]) -> None:
        super().__init__(one, other)
        self.type = one.type


class latest(earliest):
    """The later of two instants, or the larger of two numbers of seconds."""


class wall_time(_SqlFunction):
    """Local time at a stored instant, for an offset from UTC in seconds."""

    type = WallTime()


class instant_text(_SqlFunction):
    """A stored instant in RFC 3339 format, in UTC: `2026-03-02T08:00:00Z`."""

    type = Text()


class date_text(_SqlFunction):
    """The date of a wall time: `2026-03-02`."""

    type = Text()


class time_text(_SqlFunction):
    """The time of day of a wall time: `08:00:00`."""

    type = Text()


class json_string(_SqlFunction):
    """A text as a JSON string, with quotes."""

    type = Text()


class format_string(_SqlFunction):
    """A template in which each `%s` is replaced by the next argument."""

    type = Text()


class nfkc(_SqlFunction):
    """A text in NFKC. PostgreSQL only."""

    type = Text()


class contains_fold(_SqlFunction):
    """True if a text, once folded, contains a folded key. The other arguments are a text and a regular expression.

    SQLite calls the Python function. PostgreSQL converts A to Z of an ASCII text, and otherwise matches the given text
    with the regular expression.
    """

    type = Boolean()


class byte_length(_SqlFunction):
    """The number of bytes of a text in UTF-8."""

    type = BigInteger()


class next_id(_SqlFunction):
    """The next value of a sequence, by name. NULL on SQLite, which assigns the id when the row is inserted."""

    type = BigInteger()

    def __init__(self, sequence: str) -> None:
        super().__init__(literal_column(f"'{sequence}'"))


class _series(_SqlFunction):
    type = BigInteger()


def number_series(last: ColumnElement[int], *, at_most: int) -> TableValuedAlias:
    """A lateral table whose column `value` counts from 0 to `last`. `last` must be less than `at_most`."""
    # SQLite has no generate_series by default. json_each reads a prefix of a list with 7 characters for each number.
    all_numbers = "".join(f",{number:<6}" for number in range(at_most))
    numbers = _series(last, literal(f"[{all_numbers[1:]}", Text))
    return numbers.table_valued("value", name="value")


def _compile_arguments(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause.self_group(), **options) for clause in element.clauses]


def _compile_as(construct: type[_SqlFunction], *, sqlite: str, postgresql: str) -> None:
    """Register a pattern for each database. `{0}` is the first argument, and `{all}` is all of them."""

    def compile_pattern(pattern: str, element: _SqlFunction, compiler: SQLCompiler, **options: Any) -> str:
        arguments = _compile_arguments(element, compiler, options)
        return pattern.format(*arguments, all=", ".join(arguments))

    compiles(construct, "sqlite")(partial(compile_pattern, sqlite))
    compiles(construct, "postgresql")(partial(compile_pattern, postgresql))


_RFC_3339_PATTERN = "strftime('%Y-%m-%dT%H:%M:%SZ', {0}, 'unixepoch')"
_compile_as(epoch, sqlite="({0})", postgresql="CAST(date_part('epoch', {0}) AS BIGINT)")  # extract() is half as fast
_compile_as(from_epoch, sqlite="({0})", postgresql="to_timestamp(CAST({0} AS DOUBLE PRECISION))")
_compile_as(seconds_between, sqlite="({1} - {0})", postgresql="CAST(date_part('epoch', {1} - {0}) AS BIGINT)")
_compile_as(earliest, sqlite="min({0}, {1})", postgresql="least({0}, {1})")
_compile_as(latest, sqlite="max({0}, {1})", postgresql="greatest({0}, {1})")
_compile_as(
    wall_time, sqlite="({0} + {1})", postgresql="timezone(make_interval(secs => CAST({1} AS DOUBLE PRECISION)), {0})"
)
_compile_as(
    instant_text, sqlite=_RFC_3339_PATTERN, postgresql="to_char(timezone('UTC', {0}), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
)
_compile_as(date_text, sqlite="date({0}, 'unixepoch')", postgresql="CAST({0} AS DATE)")
_compile_as(time_text, sqlite="time({0}, 'unixepoch')", postgresql="CAST({0} AS TIME)")
_compile_as(json_string, sqlite="json_quote({0})", postgresql="CAST(to_json(CAST({0} AS TEXT)) AS TEXT)")
_compile_as(format_string, sqlite="printf({all})", postgresql="format({all})")
_compile_as(
    contains_fold,
    sqlite="(instr(fold({0}), {1}) > 0)",
    postgresql='CASE WHEN octet_length({0}) = char_length({0}) THEN strpos(lower({0} COLLATE "C"), {1}) > 0 '
    "ELSE {2} ~ {3} END",
)
_compile_as(byte_length, sqlite="length(CAST({0} AS BLOB))", postgresql="octet_length({0})")
_compile_as(next_id, sqlite="NULL", postgresql="nextval({0})")
_compile_as(_series, sqlite="json_each(substr({1}, 1, ({0} + 1) * 7) || ']')", postgresql="generate_series(0, {0})")


@compiles(nfkc)
def _normalize(element: nfkc, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = _compile_arguments(element, compiler, options)
    pattern = mark_run_pattern().replace("\\", r"\\")
    split = rf"regexp_replace({text}, E'{pattern}', E'\\& ', 'g')"
    # Checking first takes half the time of normalizing, because most texts are in NFKC.
    return f"CASE WHEN {text} IS NFKC NORMALIZED THEN {text} ELSE normalize({split}, NFKC) END"


@compiles(whole_seconds)
def _whole_seconds(element: whole_seconds, compiler: SQLCompiler, **options: Any) -> str:
    (length,) = element.clauses
    (text,) = _compile_arguments(element, compiler, options)
    is_number = compiler.dialect.name == "sqlite" or isinstance(length.type, Integer)
    return f"CAST({text} AS BIGINT)" if is_number else f"CAST(EXTRACT(epoch FROM {text}) AS BIGINT)"
