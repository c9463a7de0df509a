"""The folder in which worker processes share their metrics.

prometheus_client decides at import whether it keeps values in memory or in files. The folder must therefore be created
before, and this module must not import prometheus_client.
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
"""Metric files of a process. No other file is removed because the folder may contain anything, even a database."""


@contextmanager
def open_metrics_directory(*, workers: int) -> Iterator[None]:
    """Provide an empty folder for several worker processes, and remove it afterwards. One worker needs no folder.

    It is the folder of PROMETHEUS_MULTIPROC_DIR, which no other service may use, or else a temporary one. A new folder
    is readable by its owner only. Raises InvalidSettings if the folder can't be used.
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
        with suppress(OSError):  # it contains other files
            folder.rmdir()


def metric_files(folder: Path) -> list[Path]:
    """Return the metric files in the folder."""
    return [file for file in folder.iterdir() if _METRIC_FILE.fullmatch(file.name)]


def live_pids(folder: Path) -> set[int]:
    """Return the ids of the processes with gauges in the folder, which are removed when their process ends."""
    return {int(file.stem.rpartition("_")[2]) for file in metric_files(folder) if file.name.startswith("gauge_live")}


def _remove_metric_files(folder: Path) -> None:
    for file in metric_files(folder):
        file.unlink()
