"""The previous release from git, and an invented next release, each in a folder that runs on its own."""

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
    "The previous release is not in the git history of this folder. Run the tests in a "
    "git clone. If the clone is shallow, run `git fetch --unshallow` first."
)
_VERSION = re.compile(r'^version = "(.+)"$', re.MULTILINE)


def extract_previous_release(folder: Path) -> Path:
    """Extract the last commit of the previous version. Raises RuntimeError if it is not in the git history."""
    return _extract(folder / "previous", _last_commit_of_previous())


def extract_release(folder: Path, version: str) -> Path:
    """Extract the last commit of a version. Raises RuntimeError if it is not in the git history."""
    for commit in _version_commits():
        if _version_at(commit) != version and _version_at(before := f"{commit}^") == version:
            return _extract(folder / version, before)
    raise RuntimeError(NO_HISTORY)


def copy_this_release(folder: Path) -> Path:
    """Copy this release, so that `make_next_release` can change the copy."""
    target = folder / "release"
    target.mkdir()
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target / name)
    return target


def make_next_release(release: Path, **migrations: str) -> None:
    """Change a copy of this release to version "next" with these migrations.

    `migrations` maps names to the lines of `upgrade`, which can use `sa`, `op` and `autocommit`.
    """
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
    """Start `python -m app.cli migrate` of a release."""
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


def run_command_of(release: Path, db_url: str, *arguments: str, stdin: str = "") -> str:
    """Run a command of a release, and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=release,
        env=environment(release, db_url),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _extract(target: Path, commit: str) -> Path:
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit))) as archive:
        archive.extractall(target, filter="data")
    return target


def _version_commits() -> list[str]:
    """Return the commits that changed the version, the newest first."""
    options = ("--first-parent", "--format=%H", "-G^version = ")
    return _git("log", *options, "HEAD", "--", "pyproject.toml").decode().split()


def _last_commit_of_previous() -> str:
    """Return HEAD if its version is not this one, else the parent of the commit that set this version."""
    for commit in _version_commits():
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
