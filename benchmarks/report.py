"""The results as a Markdown page: facts about the machine, and a table of this service, the limits and the baseline."""

import math
import os
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import OURS, Result, ResultRow

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "psycopg2-binary", "pydantic")
COLUMNS = ("scenario", "database", "what", "rate", "p50, ms", "p99, ms", "service / it", "failures by status", "also")


def page(results: list[Result], command: str, facts: Iterable[str]) -> str:
    """Return the whole page."""
    return "\n".join([f"`{command}`", *(f"- {fact}" for fact in (*machine(), *facts)), "", *table(results)])


def machine() -> Iterator[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield "server, database and client share the machine; each ratio is the median over rounds measured in turn"


def table(results: list[Result]) -> list[str]:
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    lines += [_line(_cells(result, row)) for result in results for row in result.rows]
    return lines


def _cells(result: Result, row: ResultRow) -> list[str]:
    is_first = row is result.rows[0]
    ratio = "" if row.name == OURS else _number(result.ratio(row.name))
    return [
        result.title if is_first else "",
        result.engine if is_first else "",
        row.name,
        f"{_number(row.rate)} {result.unit}",
        _number(row.median(lambda sample: sample.p50_ms)),
        _number(row.median(lambda sample: sample.p99_ms)),
        f"{ratio} x" if ratio else "",
        ", ".join(f"{status}: {count}" for status, count in sorted(row.failures.items())),
        ", ".join(f"{name} {_number(row.median_note(name))}" for name in row.notes),
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _processor() -> str:
    """Return the model name of the CPU if the system provides it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
