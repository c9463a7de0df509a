"""Lint the SQL of all migrations after 0.4 with squawk, so that they block no requests. Called by .ci/run.

A migration must not lock a table for long, and must not break the previous release. If a change is safe because no
release reads the column any more, allow it with `# squawk-ignore: ban-drop-column`.
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
EXCLUDED_RULES = {
    "prefer-bigint-over-int",  # ids are int4, and the API limits them to MAX_ID
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",  # a migration and its revision commit in one transaction
    "prefer-text-field",  # the API limits the length of texts on both engines
    "require-lock-timeout",  # app/core/database/postgresql/online_migration.py sets both
    "require-statement-timeout",
}
_IGNORED = re.compile(r"^ *# squawk-ignore: ([\w-]+)", re.MULTILINE)


def lint(root: Path) -> list[str]:
    """Return the problems in the migrations of a release."""
    scripts = ScriptDirectory.from_config(Config(root / "alembic.ini"))
    return [line for script in scripts.iterate_revisions("head", LAST_OF_0_4) for line in _lint_script(root, script)]


def _lint_script(root: Path, script: Script) -> list[str]:
    sql = io.StringIO()
    config = Config(root / "alembic.ini", output_buffer=sql)
    command.upgrade(config, f"{script.down_revision}:{script.revision}", sql=True)
    ignored = EXCLUDED_RULES | set(_IGNORED.findall(Path(script.path).read_text()))
    squawk = [Path(sys.executable).parent / "squawk", "--reporter", "gcc", "--pg-version", "15"]
    options = [f"--exclude={','.join(sorted(ignored))}", "--stdin-filepath", f"{script.revision}.sql"]
    result = subprocess.run([*squawk, *options], input=sql.getvalue(), capture_output=True, text=True, check=False)
    if result.returncode and not result.stdout:
        raise RuntimeError(result.stderr)
    return result.stdout.splitlines()


def main() -> int:
    violations = lint(ROOT)
    print("\n".join(violations) or "No migration after 0.4 blocks requests.")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
