"""Samples of single phases, their medians over all rounds, and the comparison of variants in turn."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Measurements, p50, p99

OURS = "service"
SLOW_RUN_SECONDS = 60
"""Time limit of a phase. A variant that takes longer is skipped in the following rounds."""


@dataclass
class Sample:
    """Results of one phase: rate per second, latencies in milliseconds, failures, requests, and other values."""

    rate: float
    p50_ms: float = float("nan")
    p99_ms: float = float("nan")
    failures: Counter[int] = field(default_factory=Counter)
    requests: int = 0
    notes: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, measurements: Measurements, label: str) -> "Sample":
        seconds = measurements.seconds.get(label, [])
        return cls(measurements.rates[label], p50(seconds), p99(seconds), measurements.failed, measurements.requests)


Run = Callable[[float], Sample]
"""A function that measures one phase of the given number of seconds."""


@dataclass
class ResultRow:
    """The samples of one variant over all rounds."""

    name: str
    samples: list[Sample] = field(default_factory=list)

    def median(self, figure: Callable[[Sample], float]) -> float:
        return median(figure(sample) for sample in self.samples)

    @property
    def rate(self) -> float:
        return self.median(lambda sample: sample.rate)

    @property
    def failures(self) -> Counter[int]:
        return sum((sample.failures for sample in self.samples), Counter())

    def median_note(self, name: str) -> float:
        return median(sample.notes[name] for sample in self.samples)

    @property
    def notes(self) -> list[str]:
        return list(self.samples[0].notes)


@dataclass
class Result:
    """A scenario on one database: one row for this service, one per limit, and one for the baseline."""

    name: str
    title: str
    engine: str
    unit: str
    rows: list[ResultRow] = field(default_factory=list)

    def ratio(self, name: str) -> float:
        """Return the median over the rounds of this service's rate divided by the other rate."""
        ours, other = self._row(OURS).samples, self._row(name).samples
        rounds = [mine.rate / its.rate for mine, its in zip(ours, other, strict=False) if mine.rate and its.rate]
        return median(rounds) if rounds else float("nan")

    def _row(self, name: str) -> ResultRow:
        return next(row for row in self.rows if row.name == name)


def compare(result: Result, runs: dict[str, Run], *, seconds: float, rounds: int) -> None:
    """Measure one phase of each run in every round. The first round is a warm-up that is not counted."""
    result.rows = [ResultRow(name) for name in runs]
    skipped: set[str] = set()
    for number in range(rounds + 1):
        for row in result.rows:
            if row.name in skipped:
                continue
            started_at = time.monotonic()
            sample = runs[row.name](seconds if number else min(seconds, 1))
            is_slow = time.monotonic() - started_at > max(SLOW_RUN_SECONDS, 2 * seconds)
            if number or is_slow:
                row.samples.append(sample)
                _log_sample(result, row.name, number, sample)
            if is_slow:
                skipped.add(row.name)


def _log_sample(result: Result, name: str, number: int, sample: Sample) -> None:
    notes = "".join(f", {name} {value:.2f}" for name, value in sample.notes.items())
    failed = f", failures {dict(sample.failures)}" if sample.failures else ""
    print(
        f"{result.name}, {result.engine}, round {number}, {name}: {sample.rate:.1f} {result.unit}, "
        f"p50 {sample.p50_ms:.1f} ms, p99 {sample.p99_ms:.1f} ms{notes}{failed}",
        file=sys.stderr,
        flush=True,
    )
