"""The folder through which the workers of one service add up their metrics.

prometheus_client decides when it is first imported whether it keeps values in memory or in files of this folder. So
whoever starts workers makes it first, and this module imports nothing of it.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.core.config.settings import InvalidSettings

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"
_METRIC_FILE = re.compile(r"(counter|histogram|gauge_[a-z]+)_\d+\.db")
"""The files of a process. Nothing else is ever removed: somebody may name a folder with a database in it."""


@contextmanager
def open_metrics_directory(*, workers: int) -> Iterator[None]:
    """An empty folder for several workers, gone afterwards; one worker keeps its metrics in memory.

    It is the one that PROMETHEUS_MULTIPROC_DIR names, which must be no other service's, else a temporary one. Only its
    owner can read it. Raises InvalidSettings where it can't be made.
    """
    configured = os.environ.pop(MULTIPROC_DIR, None)
    if workers == 1:
        yield
        return
    try:
        folder = Path(configured or tempfile.mkdtemp(prefix="ett-metrics-"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_metric_files(folder)
    except OSError as error:
        raise InvalidSettings(f"{MULTIPROC_DIR} can't be used: {error.strerror}.") from None
    os.environ[MULTIPROC_DIR] = str(folder.resolve())
    try:
        yield
    finally:
        _remove_metric_files(folder)
        with suppress(OSError):  # somebody else's files are in it
            folder.rmdir()


def metric_files(folder: Path) -> list[Path]:
    """The files with metrics."""
    return [file for file in folder.iterdir() if _METRIC_FILE.fullmatch(file.name)]


def live_pids(folder: Path) -> set[int]:
    """The processes that have values of the present there, which go when the process does."""
    return {int(file.stem.rpartition("_")[2]) for file in metric_files(folder) if file.name.startswith("gauge_live")}


def _remove_metric_files(folder: Path) -> None:
    for file in metric_files(folder):
        file.unlink()
