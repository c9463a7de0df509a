"""Where the service writes on this machine's disks, and how much room there is."""

import shutil
import tempfile
from pathlib import Path

from app.core.config.settings import Settings

MIB = 1024 * 1024


def free_bytes(settings: Settings) -> dict[str, int]:
    """The free bytes by what they are for: `temporary` files, such as exports on their way, and an SQLite `database`.

    A place that isn't there has none.
    """
    paths = {"temporary": Path(tempfile.gettempdir())}
    if settings.is_sqlite:
        paths["database"] = Path(str(settings.database_url.database)).resolve().parent
    return {name: _disk_free_bytes(path) for name, path in paths.items()}


def find_low_space(settings: Settings) -> list[str]:
    """What has less than MIN_FREE_DISK_MB left."""
    return [name for name, free in free_bytes(settings).items() if free < settings.MIN_FREE_DISK_MB * MIB]


def _disk_free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0
