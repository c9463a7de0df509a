"""The release before this one, from git, and one after it, made up: each a folder that runs by itself."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from app import __version__
from app.core.database.migrations import head_revision
from tests.support.databases import SECRET_KEY
from tests.support.server_process import ROOT

PARTS = ("app", "alembic", "alembic.ini", "run_backend.py")
NO_HISTORY = (
    "The release before this one is taken from the history of the repository, and it isn't there: run the tests in a "
    "clone, after `git fetch --unshallow` where that is a shallow one."
)
_VERSION = re.compile(r'^version = "(.+)"$', re.MULTILINE)


def extract_previous_release(folder: Path) -> Path:
    """The newest commit of the version before this one. Raises RuntimeError where git knows of none."""
    target = folder / "previous"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", _last_commit_of_previous()))) as archive:
        archive.extractall(target, filter="data")
    return target


def copy_this_release(folder: Path) -> Path:
    """A copy of this one, to be overwritten by the next."""
    target = folder / "release"
    target.mkdir()
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target / name)
    return target


def make_next_release(release: Path, **migrations: str) -> None:
    """Turn a copy of this release into one that calls itself "next" and has these migrations: by name, the lines of
    `upgrade`, in which `sa`, `op` and `autocommit` are known."""
    (release / "app" / "__init__.py").write_text('__version__ = "next"\n')
    down_revision = head_revision()
    for revision, statements in migrations.items():
        (release / "alembic" / "versions" / f"{revision}.py").write_text(
            "import sqlalchemy as sa\n"
            "from alembic import op\n"
            "from app.core.database.postgresql.online_migration import autocommit\n"
            f"revision, down_revision = {revision!r}, {down_revision!r}\n"
            "def upgrade():\n" + "".join(f"    {line}\n" for line in statements.splitlines())
        )
        down_revision = revision


def start_migration(release: Path, db_url: str, *options: str) -> subprocess.Popen[str]:
    """`python -m app.cli migrate` of a release, under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "migrate", *options],
        cwd=release,
        env=environment(release, db_url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def environment(release: Path, db_url: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(release), "DB_URL": db_url, "SECRET_KEY": SECRET_KEY}


def _last_commit_of_previous() -> str:
    """HEAD, where it isn't of this version yet; else what came before the commit that made it this version."""
    commits = (
        _git("log", "--first-parent", "--format=%H", "-G^version = ", "HEAD", "--", "pyproject.toml").decode().split()
    )
    for commit in commits:
        if _version_at(commit) == __version__:
            before = f"{commit}^"
            if _version_at(before) != __version__:
                return before
    if _version_at("HEAD") == __version__:
        raise RuntimeError(NO_HISTORY)
    return "HEAD"


def _version_at(commit: str) -> str:
    (version,) = _VERSION.findall(_git("show", f"{commit}:pyproject.toml").decode())
    return str(version)


def _git(*arguments: str) -> bytes:
    result = subprocess.run(["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, capture_output=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{NO_HISTORY} git said: {result.stderr.decode().strip()}")
    return result.stdout
