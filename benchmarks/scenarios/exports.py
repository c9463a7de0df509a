"""Exports for payroll: rows a second, how soon the first byte comes, and how much more memory than a small one."""

import time
from collections import Counter

from benchmarks.company import ADMIN
from benchmarks.load import Answer, once
from benchmarks.measure import Run, Sample
from benchmarks.memory import Peak
from benchmarks.scenarios.scenario import Scenario
from benchmarks.services import Service
from benchmarks.site import Site, World
from benchmarks.upper_bounds import CopyOut, WriteXlsx

SETTLE_SECONDS = 2
"""What a worker does once when it starts, such as a first hash, is over then: its memory isn't the export's."""
CSV, XLSX = "/reports/export/csv", "/reports/export/xlsx"


def csv(site: Site, _: int) -> dict[str, Run]:
    world, rows = site.payroll, site.wanted.csv_rows
    runs: dict[str, Run] = {each.name: exporting(each, world, CSV, rows) for each in world.services}
    if not world.is_sqlite:
        runs["COPY"] = CopyOut(world.url, world.layout.period_of(rows))
    return runs


def xlsx(site: Site, _: int) -> dict[str, Run]:
    """The baseline has no such thing."""
    world, rows = site.payroll, site.wanted.xlsx_rows
    return {world.ours.name: exporting(world.ours, world, XLSX, rows), "rustpy_xlsxwriter": WriteXlsx(rows)}


def exporting(service: Service, world: World, path: str, rows: int) -> Run:
    """One whole export by one client, however long it takes, after one of a day, by fresh processes."""
    small, whole = (_message(service, world, path, count) for count in (1, rows))
    expected = world.layout.entries_in(world.layout.period_of(rows))

    def run(_: float) -> Sample:
        service.restart()
        time.sleep(SETTLE_SECONDS)
        before, _ = _peak(service, small)
        after, answer = _peak(service, whole)
        if not answer.is_good:
            return Sample(0, failures=Counter([answer.status]))
        count = answer.lines - 1 if path == CSV else expected
        notes = {
            "rows": count, "MB": answer.size / 1e6, "first byte, ms": answer.first_byte_seconds * 1000,
            "peak MB": after, "more than a small one, MB": after - before,
        }  # fmt: skip
        return Sample(count / answer.seconds, answer.seconds * 1000, answer.seconds * 1000, notes=notes)

    return run


def _message(service: Service, world: World, path: str, rows: int) -> bytes:
    first, last = world.layout.period_of(rows)
    return service.get(ADMIN, path, start_date=first, end_date=last, scope="all")


def _peak(service: Service, message: bytes) -> tuple[float, Answer]:
    peak = Peak(service.pid)
    peak.reset()
    answer = once(service.base_url, message)
    return peak.megabytes(), answer


SCENARIOS = (
    Scenario("csv", "CSV of a year's hours", "rows/s", 1, csv),
    Scenario("xlsx", "XLSX of a month's hours", "rows/s", 1, xlsx),
)
