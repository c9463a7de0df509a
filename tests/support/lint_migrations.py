"""Migrations after 0.4 block nobody and break nothing that the release before reads: squawk's rules, on the SQL that
each would run on PostgreSQL. Run by .ci/run.

A migration that may break one, since nobody reads what it drops any more, says so: `# squawk-ignore: ban-drop-column`.
"""

import io
import re
import subprocess
import sys
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from alembic import command
from app.core.database.migrations import ROOT

LAST_OF_0_4 = "2026_11_25_export_slots"
MATTERS_OF_TASTE = {
    "prefer-bigint-over-int",  # ids are int4: MAX_ID bounds them in the API too
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",  # a migration and its revision commit together
    "prefer-text-field",  # what comes in is bounded, on both engines
    "require-lock-timeout",  # app/core/database/postgresql/online_migration.py sets both
    "require-statement-timeout",
}
_IGNORED = re.compile(r"^ *# squawk-ignore: ([\w-]+)", re.MULTILINE)


def complaints(root: Path) -> list[str]:
    """What is wrong with the migrations of a release."""
    scripts = ScriptDirectory.from_config(Config(root / "alembic.ini"))
    return [line for script in scripts.iterate_revisions("head", LAST_OF_0_4) for line in _of(root, script)]


def _of(root: Path, script: Script) -> list[str]:
    written = io.StringIO()
    config = Config(root / "alembic.ini", output_buffer=written)
    command.upgrade(config, f"{script.down_revision}:{script.revision}", sql=True)
    ignored = MATTERS_OF_TASTE | set(_IGNORED.findall(Path(script.path).read_text()))
    squawk = [Path(sys.executable).parent / "squawk", "--reporter", "gcc", "--pg-version", "15"]
    options = [f"--exclude={','.join(sorted(ignored))}", "--stdin-filepath", f"{script.revision}.sql"]
    done = subprocess.run([*squawk, *options], input=written.getvalue(), capture_output=True, text=True, check=False)
    if done.returncode and not done.stdout:
        raise RuntimeError(done.stderr)
    return done.stdout.splitlines()


def main() -> int:
    found = complaints(ROOT)
    print("\n".join(found) or "No migration after 0.4 blocks anybody.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
