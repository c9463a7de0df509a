"""Results as a page: machine facts, a table, and bars of ours against each limit and the baseline."""

import math
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import BASELINE, OURS, Result, Row

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "psycopg2-binary", "pydantic")
COLUMNS = ("scenario", "database", "what", "rate", "p50, ms", "p99, ms", "ours to it", "failures by status", "also")


def page(results: list[Result], command: str, facts: Iterable[str]) -> str:
    """All of it in markdown."""
    parts = [f"`{command}`", *(f"- {fact}" for fact in (*machine(), *facts)), "", *table(results), ""]
    parts += chart("Ours to the baseline", _ratios(results, is_baseline=True))
    parts += chart("Ours to the limit", _ratios(results, is_baseline=False))
    return "\n".join(parts)


def machine() -> Iterator[str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()} {platform.release()}"
    yield f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield "server, database and client share the machine; each row's ratio is the median over rounds taken in turns"


def table(results: list[Result]) -> list[str]:
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    lines += [_line(_cells(result, row)) for result in results for row in result.rows]
    return lines


def _cells(result: Result, row: Row) -> list[str]:
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
        ", ".join(f"{name} {_number(row.note(name))}" for name in row.notes),
    ]


def chart(title: str, ratios: list[tuple[str, float]]) -> list[str]:
    """A mermaid bar chart; nothing where there is nothing to show."""
    if not ratios:
        return []
    labels = ", ".join(f'"{label}"' for label, _ in ratios)
    bars = ", ".join(f"{ratio:.2f}" for _, ratio in ratios)
    return [
        "```mermaid", "xychart-beta horizontal", f'    title "{title}"', f"    x-axis [{labels}]",
        f'    y-axis "times" 0 --> {math.ceil(max(ratio for _, ratio in ratios))}', f"    bar [{bars}]", "```", "",
    ]  # fmt: skip


def _ratios(results: list[Result], *, is_baseline: bool) -> list[tuple[str, float]]:
    found = []
    for result in results:
        for name in result.others:
            ratio = result.ratio(name)
            if (name == BASELINE) is is_baseline and not math.isnan(ratio):
                label = f"{result.name}, {result.engine}"
                found.append((label if is_baseline else f"{label}: {name}", ratio))
    return found


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _processor() -> str:
    """The model's name, where the system tells."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text)
