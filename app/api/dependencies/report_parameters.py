"""Query parameters that reports and exports share."""

from typing import Annotated

from fastapi import Query

from app.schemas.reports.report import Attribution, ReportScope

IncludeIndirect = Annotated[bool, Query(description="Also include indirect reports.")]
ScopeQuery = Annotated[ReportScope, Query(description="`team`: your team. `all`: all users, for admins only.")]
AttributionQuery = Annotated[
    Attribution,
    Query(
        description="`start`: an entry belongs to the local day on which it starts. `split`: it is split at local "
        "midnight, and each segment belongs to its own day."
    ),
]
