"""Backups: what was there comes back, all of it or nothing, on both databases; load and kills are in tests/faults."""

import hashlib
import json
import os
import resource
import signal
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import delete, make_url, select, text, update

from app.cli.common import written_whole
from app.core.archive import MANIFEST_MIB
from app.core.database.migrations import SchemaState, head_revision, schema_state
from app.core.database.postgresql.dump import ProgramFailed, program
from app.core.database.session import Database
from app.core.time.clock import utc_now
from app.models.tables import ENTRY, EVENT, USER
from app.services.access.actor import Actor
from app.services.users import administration
from tests.deploy.test_partitioned import STATEMENTS
from tests.migrations.test_migrations import objects_of
from tests.support.audit_asserts import Record
from tests.support.audit_tampering import Burglar
from tests.support.cli import refusal, somebody_elses_table
from tests.support.databases import POSTGRESQL, SQLITE, settings_for
from tests.support.export_files import eventually
from tests.support.migrating import alembic
from tests.support.postgresql import connect, execute

ANOTHER_KEY = "another-key-with-enough-randomness-8b2e"
BEFORE_THE_SECOND_FACTOR = "2026_11_25_login_sessions"
WITH_SLOTS_OF_EXPORTS = "2026_11_25_export_slots"


@pytest.fixture
def monday(people):
    """Ana's Monday, 7.5 hours of it."""
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 15:30", description="Zeile\n\\.\n\ttab ☃")
    return ana, website


def names(database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(USER.c.first_name).order_by(USER.c.id)))


def hours(database):
    with database.reading() as session:
        return [tuple(row) for row in session.execute(select(ENTRY).order_by(ENTRY.c.id))]


def with_manifest(file: Path, change, dump: bytes | None = None) -> None:
    """Write the backup anew, with a manifest that says something else, and another dump where one is given."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    said = json.loads(parts.pop("manifest.json"))
    change(said)
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, dump or part)
        archive.writestr("manifest.json", json.dumps(said))


def test_what_was_there_comes_back(command, people, database, monday, tmp_path):
    ana, website = monday
    then, record = hours(database), Record(database)
    taken = command("backup", "monday")
    people.employee("Bob")
    with database.writing("test") as session:
        session.execute(update(ENTRY).values(description="Something else"))

    assert "Say --force" in refusal(command("restore", "monday"))
    assert names(database) == ["Ana", "Bob"]
    restored = command("restore", "monday", "--force")

    assert (taken.exit_code, restored.exit_code, taken.stderr, restored.stderr) == (0, 0, "", "")
    assert taken.stdout.startswith("monday is written and checked: 20")
    assert taken.stdout.endswith(" UTC, 1 entries, 3 events.\n")
    assert (names(database), hours(database)) == (["Ana"], then)
    assert (tmp_path / "monday").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []
    told = record.new()
    assert [(event.action, event.actor_id, event.request_id) for event in told] == [
        ("backup:take", None, "cli:backup"),
        ("backup:restore", None, "cli:restore"),
    ]
    assert told[1].after.keys() == {"taken_at", "version", "sha256"}
    assert command("verify-audit").exit_code == 0
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 12:00")  # the numbers go on behind those that are there
    assert len({row[0] for row in hours(database)}) == 2


def test_a_backup_moves_into_an_empty_database_with_all_its_guards(operator, command, empty_url, database, monday):
    then = hours(database)
    command("backup", "monday")

    restored = operator("restore", "monday", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr) == (0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert (names(other), hours(other)) == (["Ana"], then)
        assert objects_of(other) == objects_of(database)


def test_a_backup_is_never_written_over_unless_forced(command, people, tmp_path):
    (tmp_path / "monday").write_text("Dear diary")

    assert "monday is there already." in refusal(command("backup", "monday"))
    assert (tmp_path / "monday").read_text() == "Dear diary"
    assert command("backup", "monday", "--force").exit_code == 0
    assert zipfile.is_zipfile(tmp_path / "monday")
    assert "No such file or directory" in refusal(command("backup", "nowhere/monday"))


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_file_that_somebody_laid_in_the_way_is_not_written_through(command, database, tmp_path):
    (tmp_path / "diary").write_text("Dear diary")
    (tmp_path / "monday.part").symlink_to(tmp_path / "diary")

    assert command("backup", "monday").exit_code == 0
    assert (tmp_path / "diary").read_text() == "Dear diary"
    with written_whole(tmp_path / "tuesday") as one, written_whole(tmp_path / "tuesday") as other:
        one.write(b"one")
        other.write(b"other")
    assert (tmp_path / "tuesday").read_text() == "one"
    assert (tmp_path / "tuesday").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda said: said["facts"]["tables"].update(project=2), "The rows of project: the backup says 2, and the "),
        (
            lambda said: said["facts"]["tables"].update(holiday=2),
            "The rows of holiday: the backup says 2, and the ",
        ),
        (
            lambda said: said["facts"]["entries"].update({"1": [1, 27001]}),
            "The entries and seconds of person 1: the backup says 1, 27001, and the restored database has 1, 27000.",
        ),
        (lambda said: said["facts"]["chains"].pop("1"), "chain 1, and the last one,: the backup says none, and the "),
    ],
)
def test_the_first_difference_is_named_and_nothing_changes(command, people, database, monday, tmp_path, change, said):
    command("backup", "monday")
    with_manifest(tmp_path / "monday", change)
    people.employee("Bob")

    refused = refusal(command("restore", "monday", "--force"))

    assert said in refused and refused.endswith("Nothing was changed.")
    people.employee("Cleo")  # the numbers go on behind those that are there
    assert names(database) == ["Ana", "Bob", "Cleo"]


def test_a_backup_of_another_revision_than_it_says_is_refused(operator, command, empty_url, monday, tmp_path, engine):
    command("backup", "monday")
    with_manifest(tmp_path / "monday", lambda said: said["facts"].update(revision="2026_11_25_passwords"))

    refused = refusal(operator("restore", "monday", DB_URL=empty_url))

    expected = {
        SQLITE: f"The backup says revision 2026_11_25_passwords, and the restored database has {head_revision()}. "
        "Nothing was changed.",
        POSTGRESQL: 'Nothing was changed, since the database refused: relation "api_token" does not exist',
    }
    assert refused == expected[engine]


def damage(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // 3)
        content.write(b"a punch in the middle of it")


def damage_of_another_kind(file: Path) -> None:
    """The manifest is packed as we never do, and damaged."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("manifest.json", os.urandom(999))
    content = bytearray(file.read_bytes())
    content[len("manifest.json") + 40 : -200] = b"\xff" * (len(content) - 200 - len("manifest.json") - 40)
    file.write_bytes(content)


def name_in_no_encoding(file: Path) -> None:
    """Its directory says that a name is UTF-8, and it isn't."""
    content = bytearray(file.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 9] |= 0x08
    content[entry + 46] = 0xFF
    file.write_bytes(content)


def offset_before_the_file(file: Path) -> None:
    """Its directory says that it begins later than it does, so that what it lists begins before the file."""
    content = bytearray(file.read_bytes())
    begins = slice(content.rindex(b"PK\x05\x06") + 16, content.rindex(b"PK\x05\x06") + 20)
    content[begins] = (int.from_bytes(content[begins], "little") + len(content)).to_bytes(4, "little")
    file.write_bytes(content)


def endless_manifest(file: Path) -> None:
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("manifest.json", "w") as out,
    ):
        for _ in range(MANIFEST_MIB + 1):
            out.write(b" " * 1024 * 1024)


def from_the_future(said) -> None:
    said["facts"]["revision"] = "2999_later"
    said["version"] = "9.1"


def of_the_other_engine(said) -> None:
    said["engine"] = SQLITE if said["engine"] == POSTGRESQL else POSTGRESQL


@pytest.mark.parametrize("engine", [SQLITE])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_text("Dear diary"), "The backup is damaged, or none: File is not a zip file."),
        (lambda file: file.write_bytes(file.read_bytes()[:-99]), "The backup is damaged, or none: "),
        (damage, "The backup is damaged, or none: "),
        (damage_of_another_kind, "The backup is damaged, or none: Corrupt input data."),
        (name_in_no_encoding, "The backup is damaged, or none: 'utf-8' codec can't decode"),
        (offset_before_the_file, "The backup is damaged, or none: [Errno 22] Invalid argument."),
        (endless_manifest, "This isn't a backup: its manifest is longer than 256 MiB."),
        (lambda file: with_manifest(file, lambda said: said["content"].update(bytes=1)), "isn't what was put into it."),
        (lambda file: with_manifest(file, lambda said: said["content"].update(name="x")), "This isn't a backup: "),
        (
            lambda file: with_manifest(file, lambda said: said.update(format=2)),
            "The backup's manifest isn't one",
        ),
        (
            lambda file: with_manifest(file, from_the_future),
            "doesn't know: restore it with version 9.1",
        ),
        (lambda file: with_manifest(file, of_the_other_engine), "and DB_URL names another engine."),
        (lambda file: file.unlink(), "No such file or directory"),
    ],
)
def test_a_file_that_is_no_backup_for_here_is_told_in_one_line(command, database, monday, tmp_path, spoil, said):
    command("backup", "monday")
    spoil(tmp_path / "monday")

    assert said in refusal(command("restore", "monday", "--force"))
    assert names(database) == ["Ana"]


def test_an_old_database_is_backed_up_before_it_is_migrated_and_migrated_when_it_comes_back(
    command, operator, empty_url, database, monday
):
    then = hours(database)
    alembic(database, "downgrade", BEFORE_THE_SECOND_FACTOR)

    taken = command("backup", "old")

    assert (taken.exit_code, taken.stderr) == (0, "")
    assert schema_state(database) is SchemaState.old
    restored = operator("restore", "old", DB_URL=empty_url)
    assert (restored.exit_code, restored.stderr) == (0, "")
    assert restored.stdout.startswith("The database holds what it held then: ")
    assert restored.stdout.endswith(f" It was migrated to {head_revision()}.\n")
    with closing(Database(settings_for(empty_url))) as other:
        assert schema_state(other) is SchemaState.current
        assert hours(other) == then


def test_a_backup_that_has_rows_of_a_table_dropped_since_comes_back(
    command, operator, empty_url, database, monday, tmp_path
):
    """Versions 0.4 to 0.7 kept the exports that were going on in it."""
    ana, _ = monday
    before, then = objects_of(database), hours(database)
    alembic(database, "downgrade", WITH_SLOTS_OF_EXPORTS)
    held_until = "now()" if database.settings.database_kind == POSTGRESQL else "0"
    with database.writing("test") as session:
        session.execute(text(f"INSERT INTO export_slot VALUES ({ana.id}, 1, 'a worker', {held_until})"))

    taken = command("backup", "old")
    restored = operator("restore", "old", DB_URL=empty_url)

    assert (taken.exit_code, restored.exit_code, restored.stderr) == (0, 0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert (hours(other), objects_of(other)) == (then, before)
    with zipfile.ZipFile(tmp_path / "old") as archive:
        assert json.loads(archive.read("manifest.json"))["facts"]["tables"]["export_slot"] == 1


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_backup_of_another_revision_never_takes_the_place_of_what_is_there(command, people, database, monday):
    alembic(database, "downgrade", BEFORE_THE_SECOND_FACTOR)
    command("backup", "old")
    alembic(database, "upgrade", "head")
    people.employee("Bob")

    assert refusal(command("restore", "old", "--force")) == (
        f"The backup has the revision {BEFORE_THE_SECOND_FACTOR}, and the database {head_revision()}. Restore it into "
        "an empty database, and point DB_URL at that. Nothing was changed."
    )
    assert names(database) == ["Ana", "Bob"]


def test_a_record_that_cannot_be_proven_comes_back_only_when_the_operator_says_so(command, people, database, monday):
    command("backup", "monday")
    people.employee("Bob")

    refused = refusal(command("restore", "monday", "--force", SECRET_KEY=ANOTHER_KEY))

    assert "The backup is whole, but its record can't be proven: Chain 0, link 1 can't be proven." in refused
    assert "which is neither AUDIT_KEY nor in AUDIT_PREVIOUS_KEYS." in refused
    assert names(database) == ["Ana", "Bob"]
    restored = command("restore", "monday", "--force", "--skip-verification", SECRET_KEY=ANOTHER_KEY)
    assert restored.exit_code == 0
    assert restored.stderr.startswith("The record can't be proven: Chain 0, link 1 can't be proven.")
    assert names(database) == ["Ana"]


def test_a_break_in_is_found_when_the_backup_comes_back(command, database, monday):
    ana, _ = monday
    Burglar(database).does(delete(EVENT).where(EVENT.c.chain_id == ana.id))
    command("backup", "monday")

    assert "but its record can't be proven: Chain " in refusal(command("restore", "monday", "--force"))
    restored = command("restore", "monday", "--force", "--skip-verification")
    assert (restored.exit_code, names(database)) == (0, ["Ana"])
    assert restored.stderr.startswith("The record can't be proven: Chain ")


def test_somebody_elses_database_is_neither_taken_nor_replaced(operator, command, empty_url, monday):
    command("backup", "monday")
    assert "is empty: there is nothing to back up." in refusal(operator("backup", "nothing", DB_URL=empty_url))
    somebody_elses_table(empty_url)

    assert "no revision that this version knows." in refusal(operator("backup", "theirs", DB_URL=empty_url))
    assert "tables that aren't this service's; nothing was" in refusal(
        operator("restore", "monday", "--force", DB_URL=empty_url)
    )


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_backup_replaces_what_a_newer_version_migrated(command, database, monday, people):
    """Who goes back to the version before has a database that it doesn't know, and a backup from before."""
    command("backup", "monday")
    people.employee("Bob")
    with database.writing("test") as session:
        session.execute(text('CREATE TABLE absence (user_id integer REFERENCES "user" (id))'))
        session.execute(text("UPDATE alembic_version SET version_num = '2999_from_the_future'"))

    assert command("restore", "monday", "--force").exit_code == 0
    assert names(database) == ["Ana"]
    assert not any("absence" in line for line in objects_of(database))


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_what_others_keep_in_the_schema_is_neither_taken_nor_touched(
    command, operator, empty_url, database, monday, db_url, tmp_path
):
    theirs = make_url(db_url)
    execute(theirs, 'CREATE TABLE "Payroll ""run" (id serial, paid int)')
    execute(theirs, 'CREATE VIEW paid AS SELECT paid FROM "Payroll ""run"')
    execute(theirs, 'CREATE VIEW staff_paid AS SELECT first_name FROM "user"')
    execute(theirs, "CREATE FUNCTION pay(int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert command("backup", "monday").exit_code == 0
    execute(theirs, 'INSERT INTO "Payroll ""run" (paid) VALUES (42)')
    before = objects_of(database)

    restored = command("restore", "monday", "--force")
    moved = operator("restore", "monday", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr, moved.exit_code, moved.stderr) == (0, "", 0, "")
    with database.reading() as session:
        assert session.execute(text("SELECT paid, pay(1), first_name FROM paid, staff_paid")).one() == (42, 1, "Ana")
    assert objects_of(database) == before
    with closing(Database(settings_for(empty_url))) as other:
        assert not any("ayroll" in line or "paid" in line for line in objects_of(other))


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_file_that_others_have_locked_is_left_as_it_is(command, people, database, monday, db_url):
    command("backup", "monday")
    people.employee("Bob")

    with database.writing("test") as session:
        session.execute(select(USER.c.id))
        said = refusal(command("restore", "monday", "--force", DB_LOCK_TIMEOUT_SECONDS="1"))

    assert said == f"{make_url(db_url).database} was not replaced: others have it locked."
    assert names(database) == ["Ana", "Bob"]


@pytest.mark.parametrize("engine", [SQLITE])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_a_backup_never_takes_the_place_of_the_database(command, database, monday, db_url, tmp_path, ending):
    live = Path(make_url(db_url).database + ending)
    (tmp_path / "alias").symlink_to(live)

    for name in (str(live), "alias"):
        said = refusal(command("backup", name, "--force"))
        assert said == f"{name} is the database itself, or its log. Choose another name."
    assert names(database) == ["Ana"]


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_disk_that_is_full_is_told_in_one_line(command, database, monday, db_url, tmp_path):
    with closing(sqlite3.connect(str(make_url(db_url).database))) as live:
        live.execute("CREATE TABLE much AS SELECT zeroblob(1000000)")
        live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
    try:
        said = refusal(command("backup", "monday"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handled)

    assert said.startswith("The database wasn't copied: ")
    assert list(tmp_path.glob("monday*")) == []
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_database_behind_a_link_is_its_owners_only(operator, command, database, monday, tmp_path):
    command("backup", "monday")
    (tmp_path / "link").symlink_to(tmp_path / "behind")

    assert operator("restore", "monday", DB_URL=f"sqlite:///{tmp_path / 'link'}").exit_code == 0
    assert (tmp_path / "behind").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("engine", [SQLITE])
def test_the_copy_in_a_backup_is_one_whole_file(command, monday, tmp_path):
    command("backup", "monday")

    with zipfile.ZipFile(tmp_path / "monday") as archive:
        archive.extract("time_tracking.db", tmp_path / "by hand")

    with closing(sqlite3.connect(f"file:{tmp_path / 'by hand' / 'time_tracking.db'}?mode=ro", uri=True)) as opened:
        assert opened.execute("SELECT count(*) FROM time_entry").fetchone() == (1,)
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_foreign_key_of_others_is_in_the_way_of_a_restore(command, people, database, monday, db_url):
    command("backup", "monday")
    people.employee("Bob")
    execute(make_url(db_url), "CREATE SCHEMA dashboard")
    execute(make_url(db_url), 'CREATE TABLE dashboard.staff (id integer REFERENCES "user" (id))')

    assert refusal(command("restore", "monday", "--force")) == (
        "Nothing was changed, since the database refused: "
        "cannot truncate a table referenced in a foreign key constraint"
    )
    assert names(database) == ["Ana", "Bob"]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_no_statement_of_a_dump_is_run(operator, command, empty_url, database, monday, tmp_path):
    """Rows are taken from it, and where sequences are: a file that was tampered with can't run SQL."""
    command("backup", "monday")
    with zipfile.ZipFile(tmp_path / "monday") as archive:
        dump = archive.read("time_tracking.dump")
    copy = b"COPY public.api_token (id, user_id, name,"
    tampered = dump.replace(copy, b"CREATE TABLE stolen (id int); --".ljust(len(copy)))
    sha256 = hashlib.sha256(tampered).hexdigest()
    with_manifest(tmp_path / "monday", lambda said: said["content"].update(sha256=sha256), tampered)

    restored = operator("restore", "monday", DB_URL=empty_url)

    assert (dump.count(copy), restored.exit_code, restored.stderr) == (1, 0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert objects_of(other) == objects_of(database)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_nobody_gets_an_id_twice_whatever_a_dump_says_of_sequences(operator, command, empty_url, monday, tmp_path):
    command("backup", "monday")
    with zipfile.ZipFile(tmp_path / "monday") as archive:
        dump = archive.read("time_tracking.dump")
    tampered = dump.replace(b"user_id_seq', 1, true", b"user_id_seq', 0, true")
    sha256 = hashlib.sha256(tampered).hexdigest()
    with_manifest(tmp_path / "monday", lambda said: said["content"].update(sha256=sha256), tampered)

    assert operator("restore", "monday", DB_URL=empty_url).exit_code == 0

    added = operator("create-admin", "ada@example.com", typed="violet-harbour-42-lantern\n", DB_URL=empty_url)
    assert (tampered != dump, added.exit_code, added.stdout) == (True, 0, "Created admin ada@example.com with id 2.\n")


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_restore_is_never_in_a_deadlock_with_an_admin(command, people, database, monday):
    """It waits for an export, and an admin, who has locked the rules, for whoever has locked the people."""
    ana, ada = monday[0], people.admin("Ada")
    command("backup", "monday")
    results = []

    def deactivate() -> None:
        with database.writing() as session:
            administration.deactivate(session, Actor(ada.id, ada.role, "UTC"), ana.id, at=utc_now())

    restore = Thread(target=lambda: results.append(command("restore", "monday", "--force")))
    admin = Thread(target=deactivate)
    with database.reading() as export:
        export.execute(select(USER.c.id)).all()
        restore.start()
        assert eventually(lambda: waiting_for_locks(database, "AccessExclusiveLock") > 0)
        admin.start()
        assert eventually(lambda: waiting_for_locks(database, "RowShareLock") > 0 or not admin.is_alive())
        assert eventually(lambda: waiting_for_locks(database, "AccessExclusiveLock") == 0)
    admin.join()
    restore.join()

    assert (results[0].exit_code, results[0].stderr) == (0, "Waiting for an export or a long write to end.\n")
    assert names(database) == ["Ana", "Ada"]


def waiting_for_locks(database, mode: str) -> int:
    counted = "SELECT count(*) FROM pg_locks WHERE mode = :mode AND NOT granted"
    with database.engine.connect() as connection:
        return connection.execute(text(counted), {"mode": mode}).scalar_one()


@pytest.fixture
def in_front_of(tmp_path, monkeypatch):
    """Put a script in front of one of PostgreSQL's programs, on the PATH: `in_front_of("pg_dump", "exit 1")`."""

    def wrap(name: str, script: str) -> None:
        file = tmp_path / name
        real = program(name, at_least=15)
        file.write_text(f'#!/bin/sh\nREAL={real}\n[ "$1" = --version ] && exec $REAL "$@"\n{script}\n')
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return wrap


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_the_password_is_no_argument_and_of_several_hosts_the_one_that_answered_is_asked(
    operator, monday, db_url, tmp_path, in_front_of
):
    in_front_of("pg_dump", f'echo "$@ $PGPASSWORD" > {tmp_path}/asked; exec $REAL "$@"')
    url = make_url(db_url)
    hosts = f"host=127.0.0.1:1&host={url.host}:{url.port}&target_session_attrs=read-write"

    taken = operator("backup", "monday", DB_URL=f"postgresql://{url.username}:pencil@/{url.database}?{hosts}")

    assert (taken.exit_code, taken.stderr) == (0, "")
    asked = (tmp_path / "asked").read_text().strip()
    assert asked.endswith(" pencil") and asked.count("pencil") == 1
    assert f"host={url.host}" in asked and f"port={url.port}" in asked


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("left_out", ["nothing", "--load-via-partition-root"])
def test_a_backup_of_partitions_comes_back_into_tables_without_any(
    operator, command, empty_url, database, monday, db_url, in_front_of, left_out
):
    """So does one of version 0.7, which dumped the rows of each partition under its own name."""
    with closing(connect(make_url(db_url))) as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {STATEMENTS.read_text()}; COMMIT")
    then = hours(database)
    in_front_of("pg_dump", f'for a; do shift; [ "$a" = "{left_out}" ] || set -- "$@" "$a"; done; exec $REAL "$@"')
    command("backup", "parts")

    restored = operator("restore", "parts", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr) == (0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert hours(other) == then
        assert not any("PARTITION" in line or "_p1" in line for line in objects_of(other))


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_dump_that_fails_leaves_no_file(command, monday, tmp_path, in_front_of):
    in_front_of("pg_dump", 'echo "pg_dump: error: no luck" >&2; exit 1')

    assert refusal(command("backup", "monday")) == "pg_dump: error: no luck"
    assert list(tmp_path.glob("monday*")) == []
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_dump_that_breaks_off_changes_nothing(command, people, database, monday, in_front_of):
    command("backup", "monday")
    people.employee("Bob")
    in_front_of("pg_restore", '$REAL "$@" | head -n 40; echo "pg_restore: error: no luck" >&2; exit 1')

    assert "no luck" in refusal(command("restore", "monday", "--force"))
    assert names(database) == ["Ana", "Bob"]


def test_a_program_that_is_missing_or_older_than_the_server_is_named():
    with pytest.raises(ProgramFailed, match=r"pg_dump 99 or newer is needed, and \d+.* was found"):
        program("pg_dump", at_least=99)
    with pytest.raises(ProgramFailed, match="pg_dumb 15 or newer is needed, and none was found: install"):
        program("pg_dumb", at_least=15)
