"""Upper bounds for comparison: the same rows from the database alone or from a library alone."""

import tempfile
import threading
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import URL

from benchmarks.load import p50, p99
from benchmarks.measure import Sample

SUMMARY = """
    SELECT user_id, date_trunc('month', start_time) AS month, sum(extract(epoch FROM end_time - start_time)), count(*)
    FROM time_entry WHERE start_time >= %s AND start_time < %s AND end_time IS NOT NULL
    GROUP BY user_id, month ORDER BY user_id, month
"""
EXPORT = """
    SELECT entry.user_id AS employee_id, person.first_name || ' ' || person.last_name AS employee_name,
        project.name AS project_name, to_char(entry.start_time, 'YYYY-MM-DD') AS date,
        to_char(entry.start_time, 'HH24:MI:SS') AS start_time, to_char(entry.end_time, 'HH24:MI:SS') AS end_time,
        round(extract(epoch FROM entry.end_time - entry.start_time) / 3600, 2) AS hours_worked, entry.description
    FROM time_entry AS entry
    JOIN "user" AS person ON person.id = entry.user_id
    JOIN project ON project.id = entry.project_id
    WHERE entry.start_time >= %s AND entry.start_time < %s
    ORDER BY entry.user_id, entry.start_time, entry.id
"""
XLSX_ROW: dict[str, Any] = {
    "employee_id": 3,
    "employee_name": "Person 3 Silva",
    "project_name": "Project 4",
    "date": "2025-01-01",
    "start_time": "08:00:00",
    "end_time": "10:00:00",
    "hours_worked": 2.0,
    "description": "Minutes, and answers to mails",
}


class Aggregate:
    """The sums of a summary in SQL only. Each client has its own connection."""

    def __init__(self, url: URL, clients: int, period: tuple[date, date]) -> None:
        self._url, self._clients, self._period = url, clients, period

    def __call__(self, seconds: float) -> Sample:
        durations: list[float] = []
        started_at = time.perf_counter()
        threads = [
            threading.Thread(target=self._run_queries, args=(started_at + seconds, durations))
            for _ in range(self._clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Sample(len(durations) / (time.perf_counter() - started_at), p50(durations), p99(durations))

    def _run_queries(self, ends_at: float, durations: list[float]) -> None:
        connection = _connect(self._url)
        while time.perf_counter() < ends_at:
            started_at = time.perf_counter()
            with connection, connection.cursor() as cursor:
                cursor.execute(SUMMARY, _half_open(self._period))
                cursor.fetchall()
            durations.append(time.perf_counter() - started_at)
        connection.close()


class CopyOut:
    """The rows of the export with COPY TO STDOUT, discarded by the client."""

    def __init__(self, url: URL, period: tuple[date, date]) -> None:
        self._url, self._period = url, period

    def __call__(self, seconds: float) -> Sample:
        connection = _connect(self._url)
        with connection, connection.cursor() as cursor, Path("/dev/null").open("wb") as null_file:
            query = cursor.mogrify(EXPORT, _half_open(self._period)).decode()
            started_at = time.perf_counter()
            cursor.copy_expert(f"COPY ({query}) TO STDOUT CSV HEADER", null_file)
            duration, rows = time.perf_counter() - started_at, cursor.rowcount
        connection.close()
        return Sample(rows / duration, duration * 1000, duration * 1000, notes={"rows": rows})


class WriteXlsx:
    """A workbook written by the library alone from prepared dictionaries."""

    def __init__(self, rows: int) -> None:
        self._rows = [XLSX_ROW | {"employee_id": number} for number in range(rows)]

    def __call__(self, seconds: float) -> Sample:
        from rustpy_xlsxwriter import FastExcel  # noqa: PLC0415 - so that all else can be measured without it

        with tempfile.TemporaryDirectory() as folder:
            started_at = time.perf_counter()
            FastExcel(str(Path(folder) / "hours.xlsx")).sheet("Hours", self._rows).save()
            duration = time.perf_counter() - started_at
        return Sample(len(self._rows) / duration, duration * 1000, duration * 1000, notes={"rows": len(self._rows)})


def _connect(url: URL) -> Any:
    return psycopg2.connect(host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database)


def _half_open(period: tuple[date, date]) -> tuple[date, date]:
    return period[0], period[1] + timedelta(days=1)
