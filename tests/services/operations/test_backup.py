"""Backup and restore on both databases: all data or nothing. Tests under load and with kills are in tests/faults."""

import hashlib
import json
import os
import re
import resource
import signal
import sqlite3
import zipfile
from contextlib import closing
from datetime import date
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import delete, make_url, select, text, update
from sqlalchemy.exc import IntegrityError

from app.cli.common import write_atomically
from app.core.archive import MANIFEST_MIB
from app.core.database.migrations import SchemaState, detect_schema_state, head_revision
from app.core.database.postgresql.dump import ProgramFailed, find_program
from app.core.database.retry import run_with_retry
from app.core.database.session import Database
from app.core.security.hash_chain import HashChainKeys
from app.core.time.clock import utc_now
from app.models.tables import AUDIT_EVENT, ENTRY, USER
from app.services.access.actor import Actor
from app.services.operations.backup import authenticate_backup
from app.services.users import administration
from tests.deploy.test_partitioning import STATEMENTS
from tests.migrations.test_migrations import objects_of
from tests.support.audit_asserts import AuditLog
from tests.support.audit_tampering import AuditTamperer
from tests.support.cli import create_unrelated_table, error_line
from tests.support.databases import POSTGRESQL, SECRET_KEY, SQLITE, settings_for
from tests.support.export_files import becomes_true
from tests.support.migrations import run_alembic
from tests.support.postgresql import connect, execute
from tests.support.timesheets import submit_month

pytestmark = pytest.mark.slow
ANOTHER_KEY = "another-key-with-enough-randomness-8b2e"
BEFORE_THE_SECOND_FACTOR = "2026_11_25_login_sessions"
BEFORE_0_9 = "2026_11_25_export_slots"


@pytest.fixture
def people(people):
    people.records_events = True
    return people


@pytest.fixture
def monday(people):
    """One user with an entry of 7.5 hours."""
    ana, website = people.employee("Ana"), people.project("Website")
    people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 15:30", description="Zeile\n\\.\n\ttab ☃")
    return ana, website


def names(database) -> list[str]:
    with database.read_transaction() as session:
        return list(session.scalars(select(USER.c.first_name).order_by(USER.c.id)))


def hours(database):
    with database.read_transaction() as session:
        return [tuple(row) for row in session.execute(select(ENTRY).order_by(ENTRY.c.id))]


def with_manifest(file: Path, change, dump: bytes | None = None, *, mac: bytes | None = None) -> None:
    """Rewrite the backup with a changed manifest, and with another dump if one is given.

    The manifest gets this MAC, by default the one that the service would compute.
    """
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(parts.pop("manifest.json"))
    del parts["manifest.mac"]
    change(manifest)
    content = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, dump or part)
        archive.writestr("manifest.json", content)
        if mac != b"":
            archive.writestr("manifest.mac", mac or authenticate_backup(HashChainKeys(SECRET_KEY), content))


def with_database(file: Path, folder: Path, *statements: str, mac: bytes | None = None) -> None:
    """Run SQL in the SQLite database of a backup, and make its manifest match."""
    with zipfile.ZipFile(file) as archive:
        name = archive.extract("time_tracking.db", folder)
    with closing(sqlite3.connect(name)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    dump = Path(name).read_bytes()
    digest = hashlib.sha256(dump).hexdigest()
    with_manifest(file, lambda manifest: manifest["content"].update(sha256=digest, bytes=len(dump)), dump, mac=mac)


def mac_of(file: Path) -> bytes:
    with zipfile.ZipFile(file) as archive:
        return archive.read("manifest.mac")


def test_what_was_there_comes_back(run_command, people, database, monday, tmp_path):
    ana, website = monday
    then, audit_log = hours(database), AuditLog(database)
    taken = run_command("backup", "monday")
    people.employee("Bob")
    with database.write_transaction("test") as session:
        session.execute(update(ENTRY).values(description="Something else"))

    assert "Use --force" in error_line(run_command("restore", "monday"))
    assert names(database) == ["Ana", "Bob"]
    restored = run_command("restore", "monday", "--force")

    assert (taken.exit_code, restored.exit_code, taken.stderr, restored.stderr) == (0, 0, "", "")
    assert taken.stdout.startswith("Wrote and checked monday: 20")
    assert " UTC, 1 entries, 4 events, of " in taken.stdout
    assert (names(database), hours(database)) == (["Ana"], then)
    assert (tmp_path / "monday").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []
    events = audit_log.new_events()
    assert [(event.action, event.actor_id, event.request_id) for event in events] == [
        ("backup:take", None, "cli:backup"),
        ("backup:restore", None, "cli:restore"),
    ]
    assert events[1].after.keys() == {"taken_at", "version", "sha256"}
    assert run_command("verify-audit").exit_code == 0
    people.entry(ana, website, "2026-03-03 08:00", "2026-03-03 12:00")  # ids continue after the existing ones
    assert len({row[0] for row in hours(database)}) == 2


def test_a_backup_moves_into_an_empty_database_with_all_its_guards(run_cli, run_command, empty_url, database, monday):
    then = hours(database)
    run_command("backup", "monday")

    restored = run_cli("restore", "monday", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr) == (0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert (names(other), hours(other)) == (["Ana"], then)
        assert objects_of(other) == objects_of(database)


def test_a_backup_is_never_written_over_unless_forced(run_command, people, tmp_path):
    (tmp_path / "monday").write_text("Dear diary")

    assert "monday already exists." in error_line(run_command("backup", "monday"))
    assert (tmp_path / "monday").read_text() == "Dear diary"
    assert run_command("backup", "monday", "--force").exit_code == 0
    assert zipfile.is_zipfile(tmp_path / "monday")
    assert "There is no folder nowhere." in error_line(run_command("backup", "nowhere/monday"))


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_file_that_somebody_laid_in_the_way_is_not_written_through(run_command, database, tmp_path):
    (tmp_path / "diary").write_text("Dear diary")
    (tmp_path / "monday.part").symlink_to(tmp_path / "diary")

    assert run_command("backup", "monday").exit_code == 0
    assert (tmp_path / "diary").read_text() == "Dear diary"
    with write_atomically(tmp_path / "tuesday") as one, write_atomically(tmp_path / "tuesday") as other:
        one.write(b"one")
        other.write(b"other")
    assert (tmp_path / "tuesday").read_text() == "one"
    assert (tmp_path / "tuesday").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda manifest: manifest["facts"]["tables"].update(project=2),
            "The rows of project differ. The backup has 2, but the ",
        ),
        (
            lambda manifest: manifest["facts"]["tables"].update(holiday=2),
            "The rows of holiday differ. The backup has 2, but the ",
        ),
        (
            lambda manifest: manifest["facts"]["entries"].update({"1": [1, 27001]}),
            "The entries and seconds of user 1 differ. The backup has 1, 27001, but the database has 1, 27000.",
        ),
        (
            lambda manifest: manifest["facts"]["chains"].pop("1"),
            "last link of chain 1 differ. The backup has none, but the ",
        ),
    ],
)
def test_the_first_difference_is_named_and_nothing_changes(
    run_command, people, database, monday, tmp_path, change, message
):
    run_command("backup", "monday")
    with_manifest(tmp_path / "monday", change)
    people.employee("Bob")

    refused = error_line(run_command("restore", "monday", "--force"))

    assert message in refused and refused.endswith("Nothing was changed.")
    people.employee("Cleo")  # ids continue after the existing ones
    assert names(database) == ["Ana", "Bob", "Cleo"]


def test_a_backup_of_another_revision_than_it_says_is_refused(
    run_cli, run_command, empty_url, monday, tmp_path, engine
):
    run_command("backup", "monday")
    with_manifest(tmp_path / "monday", lambda manifest: manifest["facts"].update(revision="2026_11_25_passwords"))

    refused = error_line(run_cli("restore", "monday", DB_URL=empty_url))

    expected = {
        SQLITE: f"The backup has revision 2026_11_25_passwords, but the restored database has {head_revision()}. "
        "Nothing was changed.",
        POSTGRESQL: 'Database error, nothing was changed: relation "api_token" does not exist',
    }
    assert refused == expected[engine]


def damage(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // 3)
        content.write(b"a punch in the middle of it")


def damage_of_another_kind(file: Path) -> None:
    """Write a damaged manifest with LZMA, a compression that backups never use."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("manifest.json", os.urandom(999))
    content = bytearray(file.read_bytes())
    content[len("manifest.json") + 40 : -200] = b"\xff" * (len(content) - 200 - len("manifest.json") - 40)
    file.write_bytes(content)


def name_in_no_encoding(file: Path) -> None:
    """Mark a name in the ZIP directory as UTF-8, and make it invalid."""
    content = bytearray(file.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 9] |= 0x08
    content[entry + 46] = 0xFF
    file.write_bytes(content)


def offset_before_the_file(file: Path) -> None:
    """Increase the offset of the ZIP directory, so that its members seem to start before the file."""
    content = bytearray(file.read_bytes())
    begins = slice(content.rindex(b"PK\x05\x06") + 16, content.rindex(b"PK\x05\x06") + 20)
    content[begins] = (int.from_bytes(content[begins], "little") + len(content)).to_bytes(4, "little")
    file.write_bytes(content)


def dump_of_the_same_size(file: Path) -> None:
    """Change one letter of a description. The manifest, with its MAC, is still that of the original dump."""
    with zipfile.ZipFile(file) as archive:
        dump = archive.read("time_tracking.db")
    with_manifest(file, lambda manifest: None, dump.replace(b"Zeile", b"Seile"))


def endless_manifest(file: Path) -> None:
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("manifest.json", "w") as out,
    ):
        for _ in range(MANIFEST_MIB + 1):
            out.write(b" " * 1024 * 1024)


def from_the_future(manifest) -> None:
    manifest["facts"]["revision"] = "2999_later"
    manifest["version"] = "9.1"


def of_the_other_engine(manifest) -> None:
    manifest["engine"] = SQLITE if manifest["engine"] == POSTGRESQL else POSTGRESQL


@pytest.mark.parametrize("engine", [SQLITE])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda file: file.write_text("Dear diary"),
            "The file is not a backup, or it is damaged: File is not a zip file.",
        ),
        (lambda file: file.write_bytes(file.read_bytes()[:-99]), "The file is not a backup, or it is damaged: "),
        (damage, "The file is not a backup, or it is damaged: "),
        (damage_of_another_kind, "The file is not a backup, or it is damaged: Corrupt input data."),
        (name_in_no_encoding, "The file is not a backup, or it is damaged: 'utf-8' codec can't decode"),
        (offset_before_the_file, "The file is not a backup, or it is damaged: [Errno 22] Invalid argument."),
        (endless_manifest, "The file is not a backup: its manifest is larger than 256 MiB."),
        (
            lambda file: with_manifest(file, lambda manifest: manifest["content"].update(bytes=1)),
            "does not match its checksum.",
        ),
        (dump_of_the_same_size, "time_tracking.db does not match its checksum."),
        (
            lambda file: with_manifest(file, lambda manifest: manifest["content"].update(name="x")),
            "The file is not a backup: ",
        ),
        (
            lambda file: with_manifest(file, lambda manifest: manifest.update(format=2)),
            "The manifest of the backup is unknown",
        ),
        (
            lambda file: with_manifest(file, from_the_future),
            "does not know. Restore it with version 9.1",
        ),
        (lambda file: with_manifest(file, of_the_other_engine), "but DB_URL names another engine."),
        (lambda file: file.unlink(), "No such file or directory"),
    ],
)
def test_a_file_that_is_no_backup_for_here_is_told_in_one_line(run_command, database, monday, tmp_path, spoil, message):
    run_command("backup", "monday")
    spoil(tmp_path / "monday")

    assert message in error_line(run_command("restore", "monday", "--force"))
    assert names(database) == ["Ana"]


def test_locked_entries_come_back_locked(run_command, run_cli, empty_url, people, database, monday):
    ana, _ = monday
    submit_month(database, ana, date(2026, 3, 1))
    then, before = hours(database), objects_of(database)
    run_command("backup", "monday")

    restored = run_command("restore", "monday", "--force")
    moved = run_cli("restore", "monday", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr, moved.exit_code, moved.stderr) == (0, "", 0, "")
    assert run_command("verify-audit").exit_code == 0
    with closing(Database(settings_for(empty_url))) as other:
        for restored_database in (database, other):
            assert (hours(restored_database), objects_of(restored_database)) == (then, before)
            with (
                pytest.raises(IntegrityError, match="ck_time_entry_locked"),
                restored_database.write_transaction("test") as session,
            ):
                session.execute(update(ENTRY).values(description="Something else"))


def test_an_old_database_is_backed_up_before_it_is_migrated_and_migrated_when_it_comes_back(
    run_command, run_cli, empty_url, database, monday
):
    then = hours(database)
    run_alembic(database, "downgrade", BEFORE_THE_SECOND_FACTOR)

    taken = run_command("backup", "old")

    assert (taken.exit_code, taken.stderr) == (0, "")
    assert detect_schema_state(database) is SchemaState.old
    restored = run_cli("restore", "old", DB_URL=empty_url)
    assert (restored.exit_code, restored.stderr) == (0, "")
    assert restored.stdout.startswith("Restored the backup of ")
    assert restored.stdout.endswith(f" It was migrated to {head_revision()}.\n")
    with closing(Database(settings_for(empty_url))) as other:
        assert detect_schema_state(other) is SchemaState.current
        assert hours(other) == then


def test_a_backup_that_has_rows_of_a_table_dropped_since_comes_back(
    run_command, run_cli, empty_url, database, monday, tmp_path
):
    """Versions 0.4 to 0.7 had a table of running exports."""
    ana, _ = monday
    before, then = objects_of(database), hours(database)
    run_alembic(database, "downgrade", BEFORE_0_9)
    held_until = "now()" if database.settings.database_kind == POSTGRESQL else "0"
    with database.write_transaction("test") as session:
        session.execute(text(f"INSERT INTO export_slot VALUES ({ana.id}, 1, 'a worker', {held_until})"))

    taken = run_command("backup", "old")
    restored = run_cli("restore", "old", DB_URL=empty_url)

    assert (taken.exit_code, restored.exit_code, restored.stderr) == (0, 0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert (hours(other), objects_of(other)) == (then, before)
    with zipfile.ZipFile(tmp_path / "old") as archive:
        assert json.loads(archive.read("manifest.json"))["facts"]["tables"]["export_slot"] == 1


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_backup_of_another_revision_never_takes_the_place_of_what_is_there(run_command, people, database, monday):
    run_alembic(database, "downgrade", BEFORE_THE_SECOND_FACTOR)
    run_command("backup", "old")
    run_alembic(database, "upgrade", "head")
    people.employee("Bob")

    assert error_line(run_command("restore", "old", "--force")) == (
        f"The backup has revision {BEFORE_THE_SECOND_FACTOR}, but the database has {head_revision()}. Set DB_URL to "
        "an empty database, and restore into that. Nothing was changed."
    )
    assert names(database) == ["Ana", "Bob"]


def test_a_record_that_cannot_be_proven_comes_back_only_when_the_operator_says_so(
    run_command, people, database, monday
):
    run_command("backup", "monday")
    people.employee("Bob")

    refused = error_line(run_command("restore", "monday", "--force", SECRET_KEY=ANOTHER_KEY))

    assert refused.startswith("The backup cannot be authenticated. It was made with the key ")
    assert "which is neither AUDIT_KEY nor in AUDIT_PREVIOUS_KEYS." in refused
    assert names(database) == ["Ana", "Bob"]
    restored = run_command("restore", "monday", "--force", "--skip-verification", SECRET_KEY=ANOTHER_KEY)
    assert restored.exit_code == 0
    assert "The backup cannot be verified. Chain 0, link 1 cannot be verified." in restored.stderr
    assert names(database) == ["Ana"]


def test_a_break_in_is_found_when_the_backup_comes_back(run_command, database, monday):
    ana, _ = monday
    tamperer = AuditTamperer(database)
    tamperer.execute(delete(AUDIT_EVENT).where(AUDIT_EVENT.c.chain_id == ana.id))
    tamperer.restore_triggers()
    run_command("backup", "monday")

    assert "but its audit log cannot be verified. Chain " in error_line(run_command("restore", "monday", "--force"))
    restored = run_command("restore", "monday", "--force", "--skip-verification")
    assert (restored.exit_code, names(database)) == (0, ["Ana"])
    assert restored.stderr.startswith("The backup cannot be verified. Chain ")


@pytest.mark.parametrize("engine", [SQLITE])
def test_hours_altered_in_a_backup_are_refused_before_anything_is_restored(run_command, database, monday, tmp_path):
    then = hours(database)
    run_command("backup", "monday")
    with_database(
        tmp_path / "monday", tmp_path, "UPDATE time_entry SET description = 'Rest'", mac=mac_of(tmp_path / "monday")
    )

    refused = error_line(run_command("restore", "monday", "--force"))

    assert refused.startswith("The backup is not authentic. Its manifest was changed after it was created. Nothing was")
    assert hours(database) == then


def test_a_backup_without_a_mac_is_restored_only_when_the_operator_says_so(run_command, database, monday, tmp_path):
    """Backups of version 0.9 and earlier have none."""
    run_command("backup", "monday")
    with_manifest(tmp_path / "monday", lambda manifest: None, mac=b"")

    refused = error_line(run_command("restore", "monday", "--force"))
    assert refused.startswith(
        "The backup is not authenticated. It was created before version 0.10, or by somebody else."
    )

    restored = run_command("restore", "monday", "--force", "--skip-verification")
    assert (restored.exit_code, names(database)) == (0, ["Ana"])
    assert restored.stderr.startswith("The backup cannot be verified. The backup is not authenticated.")


@pytest.mark.parametrize("mac", [b"x", b"0123456789abcdef ", b"\xff" * 2000, b"\n"])
def test_a_mac_of_another_form_is_refused(run_command, database, monday, tmp_path, mac):
    run_command("backup", "monday")
    with_manifest(tmp_path / "monday", lambda manifest: None, mac=mac)

    assert error_line(run_command("restore", "monday", "--force")).startswith("The backup is not authentic. Its ")


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_trigger_in_a_backup_is_refused_even_without_verification(run_command, database, monday, tmp_path):
    then = hours(database)
    run_command("backup", "monday")
    trigger = "CREATE TRIGGER more_hours AFTER INSERT ON time_entry BEGIN UPDATE time_entry SET version = 1; END"
    with_database(tmp_path / "monday", tmp_path, trigger)

    refused = error_line(run_command("restore", "monday", "--force", "--skip-verification"))

    assert refused == (
        "The backup has another schema than the service. The trigger more_hours was added. Nothing was changed."
    )
    assert hours(database) == then


def test_hours_changed_by_sql_before_the_backup_are_found_at_the_restore(run_command, people, database, monday):
    with database.write_transaction("test") as session:
        session.execute(update(ENTRY).values(description="Something else"))
    run_command("backup", "monday")
    people.employee("Bob")

    refused = error_line(run_command("restore", "monday", "--force"))

    assert "time_entry 1 of user 1 was changed in description without an event." in refused
    assert names(database) == ["Ana", "Bob"]
    restored = run_command("restore", "monday", "--force", "--skip-verification")
    assert (restored.exit_code, names(database)) == (0, ["Ana"])
    assert "was changed in description without an event." in restored.stderr


def test_somebody_elses_database_is_neither_taken_nor_replaced(run_cli, run_command, empty_url, monday):
    run_command("backup", "monday")
    assert re.search(
        r"There is no database /|is empty\. There is nothing to back up\.",
        error_line(run_cli("backup", "nothing", DB_URL=empty_url)),
    )
    create_unrelated_table(empty_url)

    assert "is unknown to this version." in error_line(run_cli("backup", "theirs", DB_URL=empty_url))
    assert "tables of another application. Nothing was" in error_line(
        run_cli("restore", "monday", "--force", DB_URL=empty_url)
    )


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_backup_replaces_what_a_newer_version_migrated(run_command, database, monday, people):
    """After a downgrade, the older version finds an unknown schema, but has a backup from before the upgrade."""
    run_command("backup", "monday")
    people.employee("Bob")
    with database.write_transaction("test") as session:
        session.execute(text('CREATE TABLE absence (user_id integer REFERENCES "user" (id))'))
        session.execute(text("UPDATE alembic_version SET version_num = '2999_from_the_future'"))

    assert run_command("restore", "monday", "--force").exit_code == 0
    assert names(database) == ["Ana"]
    assert not any("absence" in line for line in objects_of(database))


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_what_others_keep_in_the_schema_is_neither_taken_nor_touched(
    run_command, run_cli, empty_url, database, monday, db_url, tmp_path
):
    theirs = make_url(db_url)
    execute(theirs, 'CREATE TABLE "Invoice ""run" (id serial, paid int)')
    execute(theirs, 'CREATE VIEW paid AS SELECT paid FROM "Invoice ""run"')
    execute(theirs, 'CREATE VIEW staff_paid AS SELECT first_name FROM "user"')
    execute(theirs, "CREATE FUNCTION pay(int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert run_command("backup", "monday").exit_code == 0
    execute(theirs, 'INSERT INTO "Invoice ""run" (paid) VALUES (42)')
    before = objects_of(database)

    restored = run_command("restore", "monday", "--force")
    moved = run_cli("restore", "monday", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr, moved.exit_code, moved.stderr) == (0, "", 0, "")
    with database.read_transaction() as session:
        assert session.execute(text("SELECT paid, pay(1), first_name FROM paid, staff_paid")).one() == (42, 1, "Ana")
    assert objects_of(database) == before
    with closing(Database(settings_for(empty_url))) as other:
        assert not any("nvoice" in line or "paid" in line for line in objects_of(other))


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_file_that_others_have_locked_is_left_as_it_is(run_command, people, database, monday, db_url):
    run_command("backup", "monday")
    people.employee("Bob")

    with database.write_transaction("test") as session:
        session.execute(select(USER.c.id))
        message = error_line(run_command("restore", "monday", "--force", DB_LOCK_TIMEOUT_SECONDS="1"))

    assert message == f"{make_url(db_url).database} was not replaced: another process has locked it."
    assert names(database) == ["Ana", "Bob"]


@pytest.mark.parametrize("engine", [SQLITE])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_a_backup_never_takes_the_place_of_the_database(run_command, database, monday, db_url, tmp_path, ending):
    live = Path(make_url(db_url).database + ending)
    (tmp_path / "alias").symlink_to(live)

    for name in (str(live), "alias"):
        message = error_line(run_command("backup", name, "--force"))
        assert message == f"{name} is the database file or its write-ahead log. Choose another name."
    assert names(database) == ["Ana"]


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_disk_that_is_full_is_told_in_one_line(run_command, database, monday, db_url, tmp_path):
    with closing(sqlite3.connect(str(make_url(db_url).database))) as live:
        live.execute("CREATE TABLE much AS SELECT zeroblob(1000000)")
        live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, hard))
    try:
        message = error_line(run_command("backup", "monday"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handled)

    assert message.startswith("The database was not copied: ")
    assert list(tmp_path.glob("monday*")) == []
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("engine", [SQLITE])
def test_a_database_behind_a_link_is_its_owners_only(run_cli, run_command, database, monday, tmp_path):
    run_command("backup", "monday")
    (tmp_path / "link").symlink_to(tmp_path / "behind")

    assert run_cli("restore", "monday", DB_URL=f"sqlite:///{tmp_path / 'link'}").exit_code == 0
    assert (tmp_path / "behind").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("engine", [SQLITE])
def test_the_copy_in_a_backup_is_one_whole_file(run_command, monday, tmp_path):
    run_command("backup", "monday")

    with zipfile.ZipFile(tmp_path / "monday") as archive:
        archive.extract("time_tracking.db", tmp_path / "by hand")

    with closing(sqlite3.connect(f"file:{tmp_path / 'by hand' / 'time_tracking.db'}?mode=ro", uri=True)) as opened:
        assert opened.execute("SELECT count(*) FROM time_entry").fetchone() == (1,)
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_foreign_key_of_others_is_in_the_way_of_a_restore(run_command, people, database, monday, db_url):
    run_command("backup", "monday")
    people.employee("Bob")
    execute(make_url(db_url), "CREATE SCHEMA dashboard")
    execute(make_url(db_url), 'CREATE TABLE dashboard.staff (id integer REFERENCES "user" (id))')

    assert error_line(run_command("restore", "monday", "--force")) == (
        "Database error, nothing was changed: cannot truncate a table referenced in a foreign key constraint"
    )
    assert names(database) == ["Ana", "Bob"]


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_no_statement_of_a_dump_is_run(run_cli, run_command, empty_url, database, monday, tmp_path):
    """Only rows and sequence values are restored, so a tampered file cannot run SQL."""
    run_command("backup", "monday")
    with zipfile.ZipFile(tmp_path / "monday") as archive:
        dump = archive.read("time_tracking.dump")
    copy = b"COPY public.api_token (id, user_id, name,"
    tampered = dump.replace(copy, b"CREATE TABLE stolen (id int); --".ljust(len(copy)))
    sha256 = hashlib.sha256(tampered).hexdigest()
    with_manifest(tmp_path / "monday", lambda manifest: manifest["content"].update(sha256=sha256), tampered)

    restored = run_cli("restore", "monday", DB_URL=empty_url)

    assert (dump.count(copy), restored.exit_code, restored.stderr) == (1, 0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert objects_of(other) == objects_of(database)


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_nobody_gets_an_id_twice_whatever_a_dump_says_of_sequences(run_cli, run_command, empty_url, monday, tmp_path):
    run_command("backup", "monday")
    with zipfile.ZipFile(tmp_path / "monday") as archive:
        dump = archive.read("time_tracking.dump")
    tampered = dump.replace(b"user_id_seq', 1, true", b"user_id_seq', 0, true")
    sha256 = hashlib.sha256(tampered).hexdigest()
    with_manifest(tmp_path / "monday", lambda manifest: manifest["content"].update(sha256=sha256), tampered)

    assert run_cli("restore", "monday", DB_URL=empty_url).exit_code == 0

    added = run_cli("create-admin", "ada@example.com", stdin="violet-harbour-42-lantern\n", DB_URL=empty_url)
    assert (tampered != dump, added.exit_code, added.stdout) == (True, 0, "Created admin ada@example.com with id 2.\n")


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_restore_is_never_in_a_deadlock_with_an_admin(run_command, people, database, monday):
    """The restore waits for an export. Meanwhile, an admin holds the lock of the user rules and waits for users."""
    ana, ada = monday[0], people.admin("Ada")
    run_command("backup", "monday")
    results = []

    def deactivate() -> None:
        with database.write_transaction() as session:
            administration.deactivate(session, Actor(ada.id, ada.role, "UTC"), ana.id, at=utc_now())

    restore = Thread(target=lambda: results.append(run_command("restore", "monday", "--force")))
    admin = Thread(target=lambda: run_with_retry(deactivate, lock_wait_seconds=30))  # as the service retries it
    with database.read_transaction() as export:
        export.execute(select(USER.c.id)).all()
        restore.start()
        assert becomes_true(lambda: waiting_for_locks(database, "AccessExclusiveLock") > 0)
        admin.start()
        assert becomes_true(lambda: waiting_for_locks(database, "RowShareLock") > 0 or not admin.is_alive())
        assert becomes_true(lambda: waiting_for_locks(database, "AccessExclusiveLock") == 0)
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
    """Return a function that wraps a PostgreSQL program on the PATH: `in_front_of("pg_dump", "exit 1")`."""

    def wrap(name: str, script: str) -> None:
        file = tmp_path / name
        real = find_program(name, at_least=15)
        file.write_text(f'#!/bin/sh\nREAL={real}\n[ "$1" = --version ] && exec $REAL "$@"\n{script}\n')
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return wrap


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_the_password_is_no_argument_and_of_several_hosts_the_one_that_answered_is_asked(
    run_cli, monday, db_url, tmp_path, in_front_of
):
    in_front_of("pg_dump", f'echo "$@ $PGPASSWORD" > {tmp_path}/asked; exec $REAL "$@"')
    url = make_url(db_url)
    hosts = f"host=127.0.0.1:1&host={url.host}:{url.port}&target_session_attrs=read-write"

    taken = run_cli("backup", "monday", DB_URL=f"postgresql://{url.username}:pencil@/{url.database}?{hosts}")

    assert (taken.exit_code, taken.stderr) == (0, "")
    arguments = (tmp_path / "asked").read_text().strip()
    assert arguments.endswith(" pencil") and arguments.count("pencil") == 1
    assert f"host={url.host}" in arguments and f"port={url.port}" in arguments


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("left_out", ["nothing", "--load-via-partition-root"])
def test_a_backup_of_partitions_comes_back_into_tables_without_any(
    run_cli, run_command, empty_url, database, monday, db_url, in_front_of, left_out
):
    """The same holds for backups of version 0.7, which dumped each partition under its own name."""
    with closing(connect(make_url(db_url))) as connection, connection.cursor() as cursor:
        cursor.execute(f"BEGIN; {STATEMENTS.read_text()}; COMMIT")
    then = hours(database)
    in_front_of("pg_dump", f'for a; do shift; [ "$a" = "{left_out}" ] || set -- "$@" "$a"; done; exec $REAL "$@"')
    run_command("backup", "parts")

    restored = run_cli("restore", "parts", DB_URL=empty_url)

    assert (restored.exit_code, restored.stderr) == (0, "")
    with closing(Database(settings_for(empty_url))) as other:
        assert hours(other) == then
        assert not any("PARTITION" in line or "_p1" in line for line in objects_of(other))


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_dump_that_fails_leaves_no_file(run_command, monday, tmp_path, in_front_of):
    in_front_of("pg_dump", 'echo "pg_dump: error: no luck" >&2; exit 1')

    assert error_line(run_command("backup", "monday")) == "pg_dump: error: no luck"
    assert list(tmp_path.glob("monday*")) == []
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_a_dump_that_breaks_off_changes_nothing(run_command, people, database, monday, in_front_of):
    run_command("backup", "monday")
    people.employee("Bob")
    in_front_of("pg_restore", '$REAL "$@" | head -n 40; echo "pg_restore: error: no luck" >&2; exit 1')

    assert "no luck" in error_line(run_command("restore", "monday", "--force"))
    assert names(database) == ["Ana", "Bob"]


def test_a_program_that_is_missing_or_older_than_the_server_is_named():
    with pytest.raises(ProgramFailed, match=r"pg_dump 99 or newer is required, but found: \d+.*\. Install"):
        find_program("pg_dump", at_least=99)
    with pytest.raises(ProgramFailed, match=r"pg_dumb 15 or newer is required, but found: none\. Install"):
        find_program("pg_dumb", at_least=15)
