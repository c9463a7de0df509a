"""Dialects of CSV files."""

from enum import StrEnum


class CsvDialectName(StrEnum):
    """`standard` is RFC 4180 in UTF-8. `excel` begins with a byte order mark."""

    standard = "standard"
    excel = "excel"


class CsvDelimiter(StrEnum):
    comma = ","
    semicolon = ";"


class CsvDecimal(StrEnum):
    point = "."
    comma = ","
