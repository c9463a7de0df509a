"""The caller's own entries of a period, streamed as JSON, however many there are."""

from datetime import datetime
from itertools import chain

from app.core.database.rows import row_as_json
from app.core.database.session import Session
from app.core.server.spool import Write, json_list, write_chunks
from app.models.tables import USER
from app.schemas.reports.report import Attribution
from app.services.access.actor import Actor
from app.services.calendar.periods import Period, resolve
from app.services.time_entries.columns import ENTRY_COLUMNS, PROJECT_COLUMNS, EntryRows


def write_json(
    session: Session, actor: Actor, period: Period, out: Write, *, attribution: Attribution, at: datetime
) -> None:
    """Write what `entries.list_own` returns, row by row."""
    session.set_statement_timeout(session.settings.EXPORT_TIMEOUT_SECONDS)
    own = USER.c.id == actor.id
    rows = EntryRows(session, resolve(session, period, own), attribution, own, at=at, newest_first=True)
    entry = row_as_json(rows, ENTRY_COLUMNS, project=row_as_json(rows, PROJECT_COLUMNS))
    texts = (text for (text,) in chain.from_iterable(rows.stream(entry)))
    write_chunks(json_list(text.encode() for text in texts), out)
