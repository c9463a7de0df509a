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

from app.core.config.settings import BadSettings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_OURS = re.compile(r"(counter|histogram|gauge_[a-z]+)_\d+\.db")
"""The files of a process. Nothing else is ever removed: somebody may name a folder with a database in it."""


@contextmanager
def metrics_folder(*, workers: int) -> Iterator[None]:
    """An empty folder for several workers, gone afterwards; one worker keeps its metrics in memory.

    It is the one that PROMETHEUS_MULTIPROC_DIR names, which must be no other service's, else a temporary one. Only its
    owner can read it. Raises BadSettings where it can't be made.
    """
    named = os.environ.pop(FOLDER, None)
    if workers == 1:
        yield
        return
    try:
        folder = Path(named or tempfile.mkdtemp(prefix="ett-metrics-"))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _empty(folder)
    except OSError as error:
        raise BadSettings(f"{FOLDER} can't be used: {error.strerror}.") from None
    os.environ[FOLDER] = str(folder.resolve())
    try:
        yield
    finally:
        _empty(folder)
        with suppress(OSError):  # somebody else's files are in it
            folder.rmdir()


def files_in(folder: Path) -> list[Path]:
    """The files with metrics."""
    return [file for file in folder.iterdir() if _OURS.fullmatch(file.name)]


def pids_in(folder: Path) -> set[int]:
    """The processes that have values of the present there, which go when the process does."""
    return {int(file.stem.rpartition("_")[2]) for file in files_in(folder) if file.name.startswith("gauge_live")}


def _empty(folder: Path) -> None:
    for file in files_in(folder):
        file.unlink()
