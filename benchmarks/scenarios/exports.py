"""Exports for payroll: rows a second, how soon the first byte comes, and how much more memory than a small one."""

import time
from collections import Counter

from benchmarks.company import ADMIN, dates
from benchmarks.environment import Environment, Scale
from benchmarks.load import Answer, send_once
from benchmarks.measure import Run, Sample
from benchmarks.memory import PeakMemory
from benchmarks.scenarios.scenario import Scenario
from benchmarks.services import Service
from benchmarks.upper_bounds import CopyOut, WriteXlsx

SETTLE_SECONDS = 2
"""What a worker does once when it starts, such as a first hash, is over then: its memory isn't the export's."""
CSV, XLSX = "/reports/export/csv", "/reports/export/xlsx"


def csv(environment: Environment, _: int) -> dict[str, Run]:
    scale, rows = environment.payroll, environment.options.csv_rows
    runs: dict[str, Run] = {each.name: export_load(each, scale, CSV, rows) for each in scale.services}
    if not scale.is_sqlite:
        runs["COPY"] = CopyOut(scale.url, scale.company_size.period_of(rows))
    return runs


def xlsx(environment: Environment, _: int) -> dict[str, Run]:
    """The baseline has no such thing."""
    scale, rows = environment.payroll, environment.options.xlsx_rows
    return {scale.ours.name: export_load(scale.ours, scale, XLSX, rows), "rustpy_xlsxwriter": WriteXlsx(rows)}


def export_load(service: Service, scale: Scale, path: str, rows: int) -> Run:
    """One whole export by one client, however long it takes, after one of a day, by fresh processes."""
    small, whole = (_message(service, scale, path, count) for count in (1, rows))
    expected = scale.company_size.entries_in(scale.company_size.period_of(rows))

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


def _message(service: Service, scale: Scale, path: str, rows: int) -> bytes:
    return service.get(ADMIN, path, **dates(scale.company_size.period_of(rows)), scope="all")


def _peak(service: Service, message: bytes) -> tuple[float, Answer]:
    peak = PeakMemory(service.pid)
    peak.reset()
    answer = send_once(service.base_url, message)
    return peak.megabytes(), answer


SCENARIOS = (
    Scenario("csv", "CSV of a year's hours", "rows/s", 1, csv),
    Scenario("xlsx", "XLSX of a month's hours", "rows/s", 1, xlsx),
)
