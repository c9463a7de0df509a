"""Query parameters that reports and exports share."""

from typing import Annotated

from fastapi import Depends, Query

from app.core.spreadsheet import CsvDialect
from app.schemas.csv_dialect import CsvDecimal, CsvDelimiter, CsvDialectName
from app.schemas.reports.report import Attribution, OnlyEntries, ReportScope

IncludeIndirect = Annotated[bool, Query(description="Also include indirect reports.")]
ScopeQuery = Annotated[ReportScope, Query(description="`team`: your team. `all`: all users, for admins only.")]
AttributionQuery = Annotated[
    Attribution,
    Query(
        description="`start`: an entry belongs to the local day on which it starts. `split`: it is split at local "
        "midnight, and each segment belongs to its own day."
    ),
]
OnlyQuery = Annotated[
    OnlyEntries | None, Query(description="`approved`: only entries in approved timesheets. If omitted, all entries.")
]
CsvDialectQuery = Annotated[
    CsvDialectName,
    Query(
        description="`excel` begins the file with a byte order mark. Without it, Excel shows other letters for ä or é."
    ),
]


async def _get_csv_dialect(
    dialect: CsvDialectQuery = CsvDialectName.standard,
    delimiter: Annotated[
        CsvDelimiter, Query(description="Delimiter of the cells. Where decimals have a comma, Excel splits at `;`.")
    ] = CsvDelimiter.comma,
    decimal: Annotated[CsvDecimal, Query(description="Decimal separator of the hours.")] = CsvDecimal.point,
) -> CsvDialect:
    return CsvDialect(dialect is CsvDialectName.excel, delimiter, decimal)


CsvDialectDep = Annotated[CsvDialect, Depends(_get_csv_dialect)]
