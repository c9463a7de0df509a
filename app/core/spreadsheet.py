r"""Dialects of CSV, escaping against formula injection in spreadsheets (OWASP, CSV injection), and its reversal.

The patterns mean the same in Python and PostgreSQL: they use plain classes and \u escapes, which work in any encoding.
They avoid \w and \s, whose meaning depends on the database's locale.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, case, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

# Characters that NFKC maps to = + - @ count too (full width, small, superscript ...). In many European locales
# spreadsheets split at semicolons and ignore quotes inside a cell. There a formula may also start after a semicolon or
# a line break.
_FORMULA_START = (
    r"[-=+@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u207b\u208c\u208a\u208b\ufb29\u2a75\u2a76]"
)
_BLANKS_BUT_TAB = r"\u000b\u000c\u001c-\u001f \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
SPLITS = ";"
"""Characters inside a cell at which spreadsheets may split a file, whatever its quotes. Its own delimiter is not one,
because cells with it are quoted."""
SPLITS_OF_SEMICOLON_FILE = ";,"
_BLANKS = rf"\t{_BLANKS_BUT_TAB}"
# A run of blanks is looked at once for the break before it. If each tab looked at the tabs behind it too, 2,000 of them
# would take 0.1 s, and the file of a whole company hours.
_AFTER_BREAK = rf"([%s\r\n](?=[{_BLANKS}]*{_FORMULA_START})|\t(?=[{_BLANKS_BUT_TAB}]*{_FORMULA_START}))"
_AT_START = rf"^(?=[{_BLANKS}\r\n]*(?:[\t\r\n]|{_FORMULA_START}))"
# A fast path for most texts, ten times faster: they start with a digit or letter and contain no break.
_SAFE_TEXT = r"^[0-9A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u052f\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7a3][^%s\t\r\n]*$"
_PATTERNS = {
    splits: (re.compile(_SAFE_TEXT % splits).fullmatch, re.compile(_AFTER_BREAK % splits))
    for splits in (SPLITS, SPLITS_OF_SEMICOLON_FILE)
}
_is_safe, _ = _PATTERNS[SPLITS]
_at_start = re.compile(_AT_START.replace(r"[\t\r\n]|", r"[\t\r\n\0]|"))  # NUL, which PostgreSQL can't store
_LOOKS_ESCAPED = re.compile(rf"(?:^|(?<=[;\t\r\n]))(?='+\s*{_FORMULA_START})")
_ESCAPED = re.compile(rf"(?:^|(?<=[;\t\r\n]))'(?='*\s*{_FORMULA_START})")


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """The format of a CSV file in UTF-8, by default that of RFC 4180."""

    has_mark: bool = False
    """True for a byte order mark. Without it, Excel reads UTF-8 in the code page of its machine."""
    delimiter: str = ","
    decimal: str = "."
    """The separator of the decimals. Spreadsheets in many languages read 7.5 as a date."""

    @property
    def mark(self) -> str:
        return "\ufeff" if self.has_mark else ""


STANDARD_DIALECT = CsvDialect()


def escape_formula(text: str, splits: str = SPLITS) -> str:
    """Return the text with an apostrophe at every position where a spreadsheet might read a formula."""
    is_safe, after_break = _PATTERNS[splits]
    return text if is_safe(text) else _at_start.sub("'", after_break.sub(r"\g<0>'", text))


def escape_formula_postgresql(text: ColumnElement[str], splits: str = SPLITS) -> ColumnElement[str]:
    """Return `escape_formula` as a PostgreSQL expression."""
    escaped_after_breaks = func.regexp_replace(text, _AFTER_BREAK % splits, r"\&'", "g")
    escaped = func.regexp_replace(escaped_after_breaks, _AT_START, "'")
    return case((text.bool_op("~")(_SAFE_TEXT % splits), text), else_=escaped)


class escaped_csv_text(FunctionElement[str]):  # noqa: N801 - it reads as a function
    """The escaped text of a CSV cell, as SQL. Empty text may become NULL, which COPY does not quote."""

    type = Text()
    inherit_cache = True
    splits = SPLITS


class escaped_semicolon_csv_text(escaped_csv_text):  # noqa: N801 - it reads as a function
    """The same in a file whose delimiter is a semicolon. Its commas are not quoted."""

    inherit_cache = True
    splits = SPLITS_OF_SEMICOLON_FILE


@compiles(escaped_csv_text, "postgresql")
def _compile_for_postgresql(element: escaped_csv_text, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    return compiler.process(escape_formula_postgresql(func.nullif(text, ""), element.splits), **options)


@compiles(escaped_csv_text, "sqlite")
def _compile_for_sqlite(element: escaped_csv_text, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    is_plain = text.bool_op("GLOB")("[0-9A-Za-z]*") & text.bool_op("NOT GLOB")(f"*[{element.splits}\t\r\n]*")
    escaped = func.escape_formula(text, element.splits)  # the Python function above
    return compiler.process(case((is_plain | text.is_(None), text), else_=escaped), **options)


def escape_cell(text: str) -> str:
    """Escape one line like `escape_formula`, but reversibly by `unescape_cell`.

    An existing apostrophe that looks like an escape gets another one.
    """
    return text if _is_safe(text) else escape_formula(_LOOKS_ESCAPED.sub("'", text))


def unescape_cell(cell: str) -> str:
    """Return the text that `escape_cell` escaped."""
    return cell if _is_safe(cell) else _ESCAPED.sub("", cell)
