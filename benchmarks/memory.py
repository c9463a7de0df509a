"""Peak memory of a service's processes, read from the kernel's high-water mark without sampling."""

from contextlib import suppress
from pathlib import Path

import psutil

RESET_PEAK = "5"


class PeakMemory:
    """The peak memory of a process and its children since the last reset."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def reset(self) -> None:
        for pid in self._pids():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)

    def megabytes(self) -> float:
        """Return the sum over the processes. Shared pages count in each, so compare it with itself only."""
        return sum(_peak_kilobytes(pid) for pid in self._pids()) / 1024

    def _pids(self) -> list[int]:
        return [self._process.pid, *(child.pid for child in self._process.children(recursive=True))]


def _peak_kilobytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
