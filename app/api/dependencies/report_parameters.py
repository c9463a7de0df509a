"""Query parameters that reports and exports share."""

from typing import Annotated

from fastapi import Query

from app.schemas.reports.report import Attribution, ReportScope

IncludeIndirect = Annotated[bool, Query(description="The whole tree below, not only direct reports.")]
ScopeQuery = Annotated[ReportScope, Query(description="`all` is everyone, for admins.")]
AttributionQuery = Annotated[
    Attribution,
    Query(description="`start`: an entry belongs to the day on which it starts. `split`: it is cut at each midnight."),
]
