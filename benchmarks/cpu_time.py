"""CPU time of a service and of PostgreSQL, so that the cost of a request is known on a busy machine too."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil

_Result = TypeVar("_Result")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children, including those that have ended."""
    leader, seconds = psutil.Process(pid), 0.0
    for child in leader.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # ended just now, so its parent reports its time below
            times = child.cpu_times()
            seconds += times.user + times.system
    times = leader.cpu_times()
    return float(seconds + times.user + times.system + times.children_user + times.children_system)


def measure_cpu(pids: list[int], work: Callable[[], _Result]) -> tuple[_Result, list[float]]:
    """Run the work, and return its result and the CPU seconds of each process with its children meanwhile."""
    before = [cpu_seconds(pid) for pid in pids]
    result = work()
    return result, [cpu_seconds(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
