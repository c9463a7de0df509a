"""Measure the time of a backup and of its restore on both engines: `python -m benchmarks.backups [--entries 1000000]`.

The company has two audit events for each time entry, as punches write them. The commands run as an operator runs them.
The restore overwrites the existing database.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import URL

from app.core.database.session import Database
from app.core.security.hash_chain import GENESIS, HashChainKeys, canonical_json
from app.core.security.keyring import Keyring
from app.core.time.clock import monotonic_seconds
from app.models.tables import AUDIT_CHAIN, AUDIT_EVENT, ENTRY
from app.services.audit.recorder import mac_payload
from benchmarks.bulk_load import without_constraints
from benchmarks.company import CompanySize
from benchmarks.environment import benchmark_server
from tests.support.databases import ENGINES, SECRET_KEY, SQLITE, settings_for
from tests.support.postgresql import connect

EMPLOYEES = 1000
FETCH_SIZE = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="time entries (default: 1,000,000)")
    company_size = CompanySize.with_entries(EMPLOYEES, parser.parse_args().entries)
    with benchmark_server() as server:
        for engine in ENGINES:
            _measure(engine, server.company(engine, company_size), server.folder)


def _measure(engine: str, url: URL, folder: Path) -> None:
    _insert_events(url)
    file = folder / f"{engine}.backup"
    size = _size(engine, url)
    for command in (["backup", str(file)], ["restore", str(file), "--force"]):
        started_at, before = monotonic_seconds(), getrusage(RUSAGE_CHILDREN)
        output = _run(url, *command)
        after = getrusage(RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{engine}: {command[0]} in {monotonic_seconds() - started_at:.1f} s, {cpu:.1f} s of CPU time. {output}",
            flush=True,
        )
    print(f"{engine}: database {size / 1e6:.0f} MB, file {file.stat().st_size / 1e6:.0f} MB", flush=True)
    file.unlink()


def _insert_events(url: URL) -> None:
    """Insert two audit events for each entry, and the heads of their chains."""
    settings = settings_for(url.render_as_string(hide_password=False))
    keys = Keyring(settings).audit_keys
    by_user = select(ENTRY.c.user_id, ENTRY.c.id, ENTRY.c.start_time).order_by(ENTRY.c.user_id, ENTRY.c.start_time)
    with closing(Database(settings)) as database, database.read_transaction() as session:
        session.disable_timeouts()
        rows = session.execute(by_user).all()
    heads = []
    with without_constraints(url, AUDIT_EVENT.name) as connection:
        for user, entries in groupby(rows, key=lambda row: row.user_id):
            events = list(_events(keys, user, entries))
            for first in range(0, len(events), FETCH_SIZE):
                connection.execute(insert(AUDIT_EVENT), events[first : first + FETCH_SIZE])
            heads.append({"chain_id": user, "length": len(events), "last_link": events[-1]["link"]})
        connection.execute(insert(AUDIT_CHAIN), heads)


def _events(keys: HashChainKeys, user: int, entries: Any) -> Iterator[dict[str, Any]]:
    link, position = GENESIS, 0
    for entry in entries:
        for action, hours, side in (("clock_in", 0, "after"), ("clock_out", 2, "before")):
            position += 1
            event: dict[str, Any] = {
                "chain_id": user,
                "position": position,
                "at": entry.start_time + timedelta(hours=hours),
                "action": f"time_entry:{action}",
                "actor_id": user,
                "object_type": "time_entry",
                "object_id": entry.id,
                "before": None,
                "after": None,
                "reason": None,
                "request_id": f"{entry.id:032x}",
                "key_id": keys.current_id,
            }
            event[side] = canonical_json(
                {"description": "Minutes, and answers to mails", "project_id": 1, "end_time": None}
            )
            link = keys.mac(event["key_id"], mac_payload(event, link))
            yield event | {"link": link, "personal": None}


def _size(engine: str, url: URL) -> int:
    if engine == SQLITE:
        return Path(str(url.database)).stat().st_size
    with connect(url).cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int((cursor.fetchone() or (0,))[0])


def _run(url: URL, *arguments: str) -> str:
    environment = os.environ | {"DB_URL": url.render_as_string(hide_password=False), "SECRET_KEY": SECRET_KEY}
    command = [sys.executable, "-m", "app.cli", *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode:
        raise RuntimeError(f"{arguments[0]}: {result.stderr}")
    return result.stdout.strip()


if __name__ == "__main__":
    main()
