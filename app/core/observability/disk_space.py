"""Free disk space on the volumes that the service writes to."""

import shutil
import tempfile
from pathlib import Path

from app.core.config.settings import Settings

MIB = 1024 * 1024


def free_bytes(settings: Settings) -> dict[str, int]:
    """Return the free bytes per volume: `temporary` (files such as exports) and, for SQLite, `database`.

    A missing folder counts as 0.
    """
    paths = {"temporary": Path(tempfile.gettempdir())}
    if settings.database_file is not None:
        paths["database"] = settings.database_file.parent
    return {name: _disk_free_bytes(path) for name, path in paths.items()}


def find_low_space(settings: Settings) -> list[str]:
    """Return the volumes with less free space than MIN_FREE_DISK_MB, which is in MiB."""
    return [name for name, free in free_bytes(settings).items() if free < settings.MIN_FREE_DISK_MB * MIB]


def _disk_free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0
