"""The timesheet as PDF. User input is passed to typst as data, so typst never evaluates it as markup.

Rendering takes about 0.1 s of one core. typst releases the GIL, so other threads go on meanwhile.
"""

import json
from datetime import date, datetime, timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import typst

from app.core.time.zones import day_start_epoch, zone_info
from app.models.timesheets import TimesheetStatus
from app.schemas.types import hours
from app.services.reports.user_days import UserDay
from app.services.timesheets.month_approvals import CrossingEntry, MonthApproval
from app.services.timesheets.month_sheet import MonthSheet, Segment

MAX_SEGMENTS_PER_DAY = 24
"""Limit on the segments shown for one day. Without it, a day with a thousand entries would take minutes to render."""
MAX_SEGMENTS_PER_UNBROKEN_WEEK = 40
"""Limit on the segments of a week that is kept on one page. They fit on it, also if each names a time zone."""
_TEMPLATES = Path(__file__).with_name("templates")  # the template can read only these files
_DAY = timedelta(days=1)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def render(sheet: MonthSheet) -> bytes:
    """Render the sheet as PDF. The same sheet gives the same bytes on machines with the same fonts."""
    return _compile(
        "timesheet.typ",
        {"sheet": json.dumps(build_template_data(sheet))},
        timestamp=int(sheet.as_of.timestamp()),
    )


def _compile(template: str, inputs: dict[str, str], **options: Any) -> bytes:
    pdf: bytes = typst.compile(
        str(_TEMPLATES / template),
        root=str(_TEMPLATES),
        font_paths=_fonts(),
        ignore_system_fonts=True,  # they are in _fonts() already, which is loaded once
        sys_inputs=inputs,
        format="pdf",
        **options,
    )
    return pdf


def _lacks_glyphs(*texts: str) -> bool:
    """Return True if no font has a glyph for one of the characters. It is then printed as a box.

    PDF/UA does not allow that, so typst reports it as an error if it is asked for this standard.
    """
    text = " ".join(texts)
    if text.isascii():
        return False
    try:
        _compile("glyphs.typ", {"text": text}, timestamp=0, pdf_standards=["ua-1"])
    except typst.TypstError:
        return True
    return False


def build_template_data(sheet: MonthSheet) -> dict[str, Any]:
    """Build the data for the template. Numbers are formatted as text."""
    first, last = sheet.days[0].date, sheet.days[-1].date
    names = [sheet.name, sheet.manager_name or "", *(approval.decided_by or "" for approval in sheet.approvals)]
    return {
        "company": sheet.company_name,
        "lacks_glyphs": _lacks_glyphs(sheet.company_name, sheet.email, *names),
        "month": sheet.month,
        "title": f"{_MONTHS[first.month - 1]} {first.year}",
        "person": {"id": str(sheet.user_id), "name": sheet.name, "email": sheet.email},
        "manager": sheet.manager_name,
        "zone": sheet.time_zone,
        "one_zone": sheet.is_in_one_zone,
        "made": _instant(sheet.as_of, sheet.time_zone),
        "early": sheet.as_of.timestamp() < day_start_epoch(last + _DAY, sheet.time_zone),
        "weeks": [
            _week(sheet, list(days)) for _, days in groupby(sheet.days, key=lambda day: day.date.isocalendar()[1])
        ],
        "total": _length(sheet.total_seconds) | {"seconds": f"{sheet.total_seconds:,}", "review": _review(sheet.days)},
        "approvals": [_approval(sheet, approval) for approval in sheet.approvals],
        "chain": {"length": str(sheet.chain_length), "link": sheet.chain_link},
        "audit": {"text": str(sheet.comparison), "alarm": not sheet.comparison.agrees},
    }


@cache
def _fonts() -> typst.Fonts:
    """Return the fonts bundled with typst, and those of the machine for characters that they lack."""
    return typst.Fonts()


def _week(sheet: MonthSheet, days: list[UserDay[Segment]]) -> dict[str, Any]:
    label = f"Week {days[0].date.isocalendar()[1]}"
    if len(days) < 7:
        bounds = [_WEEKDAYS[day.date.weekday()] for day in (days[0], days[-1])]
        label += f" ({bounds[0]})" if len(days) == 1 else f" ({bounds[0]}\u2013{bounds[1]})"
    total = _length(sum(day.total_seconds for day in days))
    return {
        "label": label,
        "days": [_day(sheet, day) for day in days],
        "review": _review(days),
        "fits_page": sum(len(day.entries) for day in days) <= MAX_SEGMENTS_PER_UNBROKEN_WEEK,
    } | total


def _review(days: list[UserDay[Segment]]) -> str | None:
    """Return how much of a total is of entries that need review, as h:mm, or None for nothing."""
    seconds = sum(day.needs_review_seconds for day in days)
    return _clock(seconds) if seconds else None


def _day(sheet: MonthSheet, day: UserDay[Segment]) -> dict[str, Any]:
    entries = day.entries
    hidden = entries[MAX_SEGMENTS_PER_DAY - 1 : -1]
    return _length(day.total_seconds) | {
        "date": day.date.isoformat(),
        "weekday": _WEEKDAYS[day.date.weekday()],
        "weekend": day.date.weekday() >= 5,
        "worked": bool(entries),
        "groups": _groups(sheet, day.date, entries if not hidden else entries[: MAX_SEGMENTS_PER_DAY - 1]),
        "more": f"{len(hidden)} more" if hidden else None,
        "more_review": any(entry.needs_review for entry in hidden),
        "last": _groups(sheet, day.date, entries[-1:]) if hidden else [],
        "breaks": _clock(day.break_seconds) if day.break_seconds else "",
        "notes": _notes(sheet, day),
    }


def _groups(sheet: MonthSheet, day: date, entries: list[Segment]) -> list[dict[str, Any]]:
    """Group consecutive entries by time zone. `zone` is None for the time zone of the sheet."""
    by_zone = groupby(entries, key=lambda entry: _zone(sheet, entry))
    return [
        {
            "zone": None if zone == sheet.time_zone else zone,
            "segments": [_segment(day, entry, zone) for entry in zone_entries],
        }
        for zone, zone_entries in by_zone
    ]


def _segment(day: date, entry: Segment, zone: str) -> dict[str, Any]:
    started = int(entry.start_time.timestamp())
    text = _time(entry.start_time, zone)
    if entry.end_time is None:
        return {"text": f"{text}\u2013open", "open": True, "review": entry.needs_review}
    ends_with_day = started < int(entry.end_time.timestamp()) == day_start_epoch(day + _DAY, zone)
    end = "24:00" if ends_with_day else _time(entry.end_time, zone)
    return {"text": f"{text}\u2013{end}", "open": False, "review": entry.needs_review}


def _notes(sheet: MonthSheet, day: UserDay[Segment]) -> list[str]:
    notes = ["differs from the audit log"] if day.date in sheet.comparison.days else []
    if any(entry.end_time is None for entry in day.entries):
        notes.append("open: not counted")
    if any(entry.needs_review for entry in day.entries):
        notes.append("! needs review")
    lengths = {_day_seconds(day.date, _zone(sheet, entry)) for entry in day.entries} - {86400}
    return notes + [f"clock change: day of {seconds / 3600:g} hours" for seconds in sorted(lengths)]


def _approval(sheet: MonthSheet, approval: MonthApproval) -> dict[str, Any]:
    decision: str = approval.status
    if approval.status is TimesheetStatus.submitted:
        decision = "submitted, not decided yet"
    elif approval.decided_at is not None:
        verb = "reopened" if approval.status is TimesheetStatus.open else approval.status
        decision = f"{verb} {_instant(approval.decided_at, sheet.time_zone)}"
        if approval.decided_by is None:
            decision += ", nobody else could decide"
    seconds = approval.total_seconds
    return {
        "days": f"{approval.first_day} to {approval.last_day}",
        "decision": decision,
        "decider": approval.decided_by,
        "total": None if seconds is None else f"{seconds:,} seconds, {_clock(seconds)}",
        "digest": approval.digest,
        "crossing": [_crossing(entry) for entry in approval.crossing],
    }


def _crossing(entry: CrossingEntry) -> str:
    zone = zone_info(entry.time_zone)
    start, end = (f"{at.astimezone(zone):%Y-%m-%d} {_time(at, entry.time_zone)}" for at in entry[1:3])
    return f"entry {entry.id} ({start} to {end})"


def _instant(instant: datetime, zone: str) -> str:
    return instant.astimezone(zone_info(zone)).replace(microsecond=0).isoformat(sep=" ")


def _zone(sheet: MonthSheet, entry: Segment) -> str:
    return sheet.time_zone if sheet.is_in_one_zone else entry.time_zone


def _day_seconds(day: date, zone: str) -> int:
    return day_start_epoch(day + _DAY, zone) - day_start_epoch(day, zone)


def _time(instant: datetime, zone: str) -> str:
    """Format the local time to the minute. Add the UTC offset if a DST change repeats this local time."""
    local = instant.astimezone(zone_info(zone))
    is_twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    return local.isoformat(timespec="minutes")[11:] if is_twice else f"{local:%H:%M}"


def _length(seconds: int) -> dict[str, str]:
    return {"clock": _clock(seconds), "hours": f"{hours(seconds):.2f}"}


def _clock(seconds: int) -> str:
    """Format as h:mm, rounded half-up to the minute."""
    minutes = (seconds + 30) // 60
    return f"{minutes // 60}:{minutes % 60:02}"
