"""Measure timesheets: `python -m benchmarks.timesheets`, and payroll: `python -m benchmarks.timesheets --payroll`.

A team of 50 submits its months on PostgreSQL, ten of them with 88 entries each, and the manager lists and approves
them. Payroll is the file of 10,000 approved months with 88 entries each, on both engines. One client sends one request
after another. Times are those of whole requests over HTTP.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date
from functools import partial

import httpx
from sqlalchemy import create_engine, insert
from sqlalchemy.engine import URL

from app.core.time.clock import utc_now
from app.models.tables import TIMESHEET
from app.models.timesheets import TimesheetStatus
from app.schemas.reports.report import ExportFormat
from benchmarks.company import (
    ADMIN,
    DAYS_PER_MONTH,
    ENTRIES_PER_DAY,
    ENTRY_HOURS,
    FIRST_EMPLOYEE,
    MANAGER,
    MONTH,
    CompanySize,
    dates,
)
from benchmarks.environment import SMALL_COMPANY, BenchmarkServer, benchmark_server
from benchmarks.services import OurService
from tests.support.databases import ENGINES
from tests.support.server_process import TLS

FULL_MONTHS = [date(2025, month, 1) for month in range(1, 11)]
"""The months with 88 entries of each user."""
EMPTY_MONTHS = [date(2024, month, 1) for month in range(1, 13)]
FIRST_WEEK = "2018-01-01"
OWN_YEARS = {"start_date": FIRST_WEEK, "end_date": "2025-08-25"}
"""400 weeks."""
WAITING = {"status": "submitted", "limit": 1000}
KEYS_PER_REQUEST = 100
PAYROLL_COMPANY = CompanySize(10_000, DAYS_PER_MONTH)


class Client:
    """A client that sends one request after another, as several users, and keeps the times of the measured ones."""

    def __init__(self, service: OurService) -> None:
        self._http = httpx.Client(base_url=f"{service.base_url}/api/v1", verify=TLS, timeout=60)
        self._service = service

    def send(self, user: int, method: str, path: str, **options: object) -> float:
        """Return the milliseconds until the response. Raises HTTPStatusError for an error."""
        headers = {"Authorization": f"Bearer {self._service.token(user)}"}
        started_at = time.perf_counter()
        response = self._http.request(method, path, headers=headers, **options)  # type: ignore[arg-type]
        duration = time.perf_counter() - started_at
        response.raise_for_status()
        return duration * 1000


def _repeat(send: Callable[[], float], repetitions: int) -> list[float]:
    return [send() for _ in range(repetitions)]


def _print(title: str, durations: list[float]) -> None:
    middle, least = statistics.median(durations), min(durations)
    print(f"{title}: median {middle:.1f} ms, least {least:.1f} ms ({len(durations)} requests)", flush=True)


def measure(service: OurService, repetitions: int) -> None:
    team = list(SMALL_COMPANY.team)
    for user in (ADMIN, MANAGER, *team):
        service.log_in([user])
    client = Client(service)
    manager, employee = partial(client.send, MANAGER), partial(client.send, team[0])
    rule = f"/admin/timesheet-rules/{FIRST_WEEK}"
    client.send(ADMIN, "PUT", rule, json={"period": "week"})
    years = partial(employee, "GET", "/timesheets/me", params=OWN_YEARS)
    _print("400 own weeks with sums", _repeat(years, repetitions))
    client.send(ADMIN, "PUT", rule, json={"period": "month"})

    def submit(months: list[date]) -> list[float]:
        return [client.send(user, "POST", f"/timesheets/{user}/{month}/submit") for month in months for user in team]

    def approve(months: list[date]) -> list[float]:
        keys = [{"user_id": user, "first_day": str(month)} for month in months for user in team]
        parts = [keys[start : start + KEYS_PER_REQUEST] for start in range(0, len(keys), KEYS_PER_REQUEST)]
        return [manager("POST", "/timesheets/approve", json={"timesheets": part}) for part in parts]

    submit(EMPTY_MONTHS)
    _print("submit a month with 88 entries", submit(FULL_MONTHS))
    waiting = partial(manager, "GET", "/timesheets", params=WAITING)
    _print("list 1,000 that wait", _repeat(waiting, repetitions))
    _print("approve 100 in one request", approve(FULL_MONTHS))


def add_approved_months(url: URL) -> None:
    """Insert one approved timesheet for each employee, for the month with entries."""
    entries, at = DAYS_PER_MONTH * ENTRIES_PER_DAY, utc_now()
    sums = {"total_seconds": entries * ENTRY_HOURS * 3600, "entries": entries, "digest": "0" * 64, "digest_version": 1}
    decision = {"status": TimesheetStatus.approved, "version": 2, "submitted_at": at, "decided_at": at}
    common = sums | decision | {"first_day": MONTH[0], "last_day": MONTH[1], "decided_by": ADMIN}
    employees = range(FIRST_EMPLOYEE, PAYROLL_COMPANY.last_employee + 1)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(TIMESHEET), [common | {"user_id": user, "submitted_by": user} for user in employees])
    engine.dispose()


def measure_payroll(server: BenchmarkServer, engine: str, repetitions: int) -> None:
    url = server.company(engine, PAYROLL_COMPANY)
    add_approved_months(url)
    service = server.stop_at_end(OurService(url, server.folder))
    client = Client(service)
    for file_format in ExportFormat:
        parameters = dates(MONTH) | {"scope": "all", "format": file_format.value}
        read = partial(client.send, ADMIN, "GET", "/reports/payroll", params=parameters)
        read()
        _print(f"payroll of 10,000 months, {engine}, {file_format}", _repeat(read, repetitions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20, help="requests of each read (default: 20)")
    parser.add_argument("--payroll", action="store_true", help="measure the payroll of a company of 10,000")
    options = parser.parse_args()
    with benchmark_server() as server:
        if options.payroll:
            for engine in ENGINES:
                measure_payroll(server, engine, options.repetitions)
            return
        service = server.stop_at_end(OurService(server.company("postgresql", SMALL_COMPANY), server.folder))
        measure(service, options.repetitions)


if __name__ == "__main__":
    main()
