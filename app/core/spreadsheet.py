r"""Text that no spreadsheet takes for a formula (OWASP, CSV injection), and the way back.

The patterns are written so that Python and PostgreSQL read them alike: plain classes, and \u escapes, which both know
in any encoding. Neither \w nor \s: what they mean is up to a database's locale.
"""

import re
from typing import Any

from sqlalchemy import ColumnElement, Text, case, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

# What NFKC makes = + - @ of counts as such (full width, small, superscript ...). Half of Europe's spreadsheets split at
# semicolons and know no quotes inside a cell, so behind a semicolon or a line break a formula may start as well.
_TRIGGER = (
    r"[-=+@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a\u207b\u208c\u208a\u208b\ufb29\u2a75\u2a76]"
)
_BLANKS = r"\t\u000b\u000c\u001c-\u001f \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_BEHIND_A_BREAK = rf"[;\t\r\n](?=[{_BLANKS}]*{_TRIGGER})"
_AT_THE_START = rf"^(?=[{_BLANKS}\r\n]*(?:[\t\r\n]|{_TRIGGER}))"
# Nearly every text, told apart ten times faster: it starts with a digit or a letter and has no break in it.
_HARMLESS = r"^[0-9A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u052f\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7a3][^;\t\r\n]*$"
_is_harmless = re.compile(_HARMLESS).fullmatch
_behind_a_break = re.compile(_BEHIND_A_BREAK)
_at_the_start = re.compile(_AT_THE_START.replace(r"[\t\r\n]|", r"[\t\r\n\0]|"))  # NUL, which PostgreSQL has in no text
_AS_GUARDED = re.compile(rf"(?:^|(?<=[;\t\r\n]))(?='+\s*{_TRIGGER})")
_GUARDED = re.compile(rf"(?:^|(?<=[;\t\r\n]))'(?='*\s*{_TRIGGER})")


def safe_text(text: str) -> str:
    """The text, with an apostrophe wherever a spreadsheet would start to read a formula."""
    return text if _is_harmless(text) else _at_the_start.sub("'", _behind_a_break.sub(r"\g<0>'", text))


def safe_in_postgresql(text: ColumnElement[str]) -> ColumnElement[str]:
    """`safe_text`, done by PostgreSQL."""
    behind_breaks = func.regexp_replace(text, _BEHIND_A_BREAK, r"\&'", "g")
    return case((text.bool_op("~")(_HARMLESS), text), else_=func.regexp_replace(behind_breaks, _AT_THE_START, "'"))


class safe_cell(FunctionElement[str]):  # noqa: N801 - it reads as a function
    """The text of a CSV cell, made safe by the database; an empty one may be NULL, which COPY doesn't quote."""

    type = Text()
    inherit_cache = True


@compiles(safe_cell, "postgresql")
def _safe_cell_in_postgresql(element: safe_cell, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    return compiler.process(safe_in_postgresql(func.nullif(text, "")), **options)


@compiles(safe_cell, "sqlite")
def _safe_cell_in_sqlite(element: safe_cell, compiler: SQLCompiler, **options: Any) -> str:
    (text,) = element.clauses
    is_plain = text.bool_op("GLOB")("[0-9A-Za-z]*") & text.bool_op("NOT GLOB")("*[;\t\r\n]*")
    return compiler.process(case((is_plain, text), else_=func.safe_text(text)), **options)  # the Python function above


def guarded(text: str) -> str:
    """Text of one line made safe like `safe_text`, so that `unguarded` has it back: an apostrophe that stands where
    ours would gets one more."""
    return text if _is_harmless(text) else safe_text(_AS_GUARDED.sub("'", text))


def unguarded(cell: str) -> str:
    """The text that was guarded."""
    return cell if _is_harmless(cell) else _GUARDED.sub("", cell)
