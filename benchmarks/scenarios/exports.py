"""Payroll exports: rows per second, time to the first byte, and memory beyond that of a small export."""

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

PAUSE_SECONDS = 2
"""Seconds before a measurement in which a worker finishes start-up work, such as the first password hash.

Otherwise the memory of that work would count as the export's.
"""
CSV, XLSX = "/reports/export/csv", "/reports/export/xlsx"


def csv(environment: Environment, _: int) -> dict[str, Run]:
    scale, rows = environment.payroll, environment.options.csv_rows
    runs: dict[str, Run] = {each.name: export_load(each, scale, CSV, rows) for each in scale.services}
    if not scale.is_sqlite:
        runs["COPY"] = CopyOut(scale.url, scale.company_size.period_of(rows))
    return runs


def xlsx(environment: Environment, _: int) -> dict[str, Run]:
    """Measure the XLSX export. The baseline has none."""
    scale, rows = environment.payroll, environment.options.xlsx_rows
    return {scale.ours.name: export_load(scale.ours, scale, XLSX, rows), "rustpy_xlsxwriter": WriteXlsx(rows)}


def export_load(service: Service, scale: Scale, path: str, rows: int) -> Run:
    """Measure one export by one client in fresh processes, after an export of a single day."""
    small, whole = (_message(service, scale, path, count) for count in (1, rows))
    expected = scale.company_size.entries_in(scale.company_size.period_of(rows))

    def run(_: float) -> Sample:
        service.restart()
        time.sleep(PAUSE_SECONDS)
        before, _ = measure_peak(service, small)
        after, answer = measure_peak(service, whole)
        if not answer.is_good:
            return Sample(0, failures=Counter([answer.status]))
        count = answer.lines - 1 if path == CSV else expected
        notes = {
            "rows": count, "MB": answer.size / 1e6, "first byte, ms": answer.first_byte_seconds * 1000,
            "peak MB": after, "MB above a small export": after - before,
        }  # fmt: skip
        return Sample(count / answer.seconds, answer.seconds * 1000, answer.seconds * 1000, notes=notes)

    return run


def _message(service: Service, scale: Scale, path: str, rows: int) -> bytes:
    return service.get(ADMIN, path, **dates(scale.company_size.period_of(rows)), scope="all")


def measure_peak(service: Service, message: bytes) -> tuple[float, Answer]:
    """Return the peak memory in MB of one request, and the answer to it."""
    peak = PeakMemory(service.pid)
    peak.reset()
    answer = send_once(service.base_url, message)
    return peak.megabytes(), answer


SCENARIOS = (
    Scenario("csv", "CSV of a year's hours", "rows/s", 1, csv),
    Scenario("xlsx", "XLSX of a month's hours", "rows/s", 1, xlsx),
)
