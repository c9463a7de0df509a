"""Run `alembic check` on both databases, so that models and migrations agree. Called by .ci/run."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from tests.support.databases import ENGINES, SECRET_KEY, fresh_database, make_templates
from tests.support.postgresql import ENVIRONMENT_VARIABLE, PostgreSQLServer


def main() -> int:
    own = None if ENVIRONMENT_VARIABLE in os.environ else PostgreSQLServer()
    server = own.url if own else make_url(os.environ[ENVIRONMENT_VARIABLE])
    try:
        with tempfile.TemporaryDirectory() as folder:
            make_templates(server, Path(folder))
            return max(_check(engine, server, Path(folder)) for engine in ENGINES)
    finally:
        if own:
            own.stop()


def _check(engine: str, server: URL, folder: Path) -> int:
    with fresh_database(engine, folder, server, folder) as db_url:
        environment = os.environ | {"DB_URL": db_url, "SECRET_KEY": SECRET_KEY}
        print(f"{engine}:", flush=True)
        return subprocess.run([sys.executable, "-m", "alembic", "check"], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
