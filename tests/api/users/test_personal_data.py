"""Personal data: export by the user, and erasure after the retention period."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from app.core.time.clock import utc_now
from app.models.tables import ENTRY, USER
from app.services.access.errors import UserNotFound
from app.services.audit.verification import verify
from app.services.users import personal_data
from app.services.users.errors import RetentionNotExpired, UserStillActive
from tests.support.audit_asserts import AuditLog
from tests.support.credentials import create_api_token, create_second_factor
from tests.support.factories import PASSWORD, instant
from tests.support.times import two_hour_entry

LONG_AGO = ("2018-03-02 08:00", "2018-03-02 12:00")


@pytest.fixture
def ana(people, mia):
    return people.employee("Ana", manager=mia, last_name="Almeida")


class TestOwnData:
    def test_ana_gets_all_that_is_stored_about_her(self, people, as_user, mia, ana, website):
        secret = people.project("Secret", members=(ana,))
        people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
        me = as_user(ana)
        started = me.post(
            "/time-entries/clock-in",
            json={"project_id": website.id, "description": "Landing page"},
            headers={"Idempotency-Key": "terminal-1"},
        ).json()
        as_user(mia).patch(f"/time-entries/{started['id']}", json={"description": "Shop", "reason": "Wrong project"})

        answer = me.get("/auth/me/export")
        data = answer.json()

        assert answer.headers["Content-Type"] == "application/json"
        assert data.keys() == {
            "exported_at", "user", "memberships", "entries", "timesheets", "events", "actions", "stored_responses",
            "sessions", "api_tokens", "known_addresses", "refused_logins",
        }  # fmt: skip
        assert data["user"] == me.get("/auth/me").json()
        assert [project["id"] for project in data["memberships"]] == [secret.id]
        assert [entry["description"] for entry in data["entries"]] == ["", "Shop"]
        assert [event["action"] for event in data["events"]] == [
            "user:create", "time_entry:clock_in", "time_entry:change", "export:own_data",
        ]  # fmt: skip
        assert data["events"][0]["after"]["email"] == "ana@example.com"
        assert data["events"][2]["actor"]["first_name"] == "Mia"
        assert data["events"][2]["reason"] == "Wrong project"
        assert [stored.keys() for stored in data["stored_responses"]] == [{"key", "created_at"}]
        assert data["stored_responses"][0]["key"] == "terminal-1"

    def test_where_she_logged_in_is_among_it(self, as_user, anonymous, server, ana):
        anonymous.post("/auth/login", data={"username": "ana@example.com", "password": PASSWORD})
        create_api_token(server.database, ana, "entries:read", name="Terminal at the gate")

        data = as_user(ana).get("/auth/me/export").json()

        assert [session["address"] for session in data["sessions"]] == ["127.0.0.1"] * 2
        assert [token["name"] for token in data["api_tokens"]] == ["Terminal at the gate"]
        assert [known["address"] for known in data["known_addresses"]] == ["127.0.0.1"]

    def test_mia_gets_what_she_did_but_not_what_it_changed_for_others(self, people, as_user, mia, ana, website):
        entry = people.entry(ana, website, "2026-03-02 08:00", "2026-03-02 12:00")
        as_user(mia).patch(f"/time-entries/{entry}", json={"description": "Doctor", "reason": "Called in"})

        answer = as_user(mia).get("/auth/me/export")

        (act,) = answer.json()["actions"]
        assert act.keys() == {"at", "action", "object_type", "object_id", "request_id"}
        assert (act["action"], act["object_id"]) == ("time_entry:change", entry)
        assert "Doctor" not in answer.text
        assert "Called in" not in answer.text

    def test_mia_gets_no_stored_response_about_ana_who_left_her_team(self, people, as_user, mia, ana, website):
        body = two_hour_entry(website, user_id=ana.id, reason="On paper", description="Doctor")
        as_user(mia).post("/time-entries", json=body, headers={"Idempotency-Key": "k-1"})
        admin, max_id = as_user(people.admin("Ada")), people.manager("Max").id
        admin.put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": max_id})

        answer = as_user(mia).get("/auth/me/export")

        assert [stored["key"] for stored in answer.json()["stored_responses"]] == ["k-1"]
        assert "Doctor" not in answer.text

    def test_nothing_secret_is_among_it(self, as_user, ana):
        answer = as_user(ana).get("/auth/me/export")

        assert [word for word in ("hash", "argon2", "salt", "ett_", "ettr_") if word in answer.text] == []

    def test_the_record_says_that_it_was_taken_out(self, as_user, server, ana):
        audit_log = AuditLog(server.database)

        as_user(ana).get("/auth/me/export")

        assert [(event.action, event.subject_id) for event in audit_log.new_events()] == [("export:own_data", ana.id)]


class TestErasure:
    @pytest.fixture
    def gone(self, people, as_user, ana, website):
        """A deactivated user with an entry of 2018, a changed name, and a correction with a reason."""
        admin = as_user(people.admin("Ada"))
        entry = people.entry(ana, website, *LONG_AGO)
        admin.patch(f"/time-entries/{entry}", json={"description": "Shop", "reason": "Ana called from Lisbon"})
        admin.patch(f"/admin/users/{ana.id}", json={"last_name": "Almeida-Silva", "email": "almeida@example.com"})
        admin.put(f"/admin/users/{ana.id}/deactivate")
        return ana

    def erase(self, database, user, at=None):
        with database.write_transaction("test") as session:
            return personal_data.erase(session, user.id, at=at or utc_now())

    def test_name_and_email_are_gone_everywhere_and_the_hours_stay(self, server, as_user, people, gone):
        pseudonym = self.erase(server.database, gone)

        erased = people.reload(gone)
        assert pseudonym == f"Erased Person {gone.id}"
        assert (erased.first_name, erased.last_name, erased.email) == (
            "Erased", f"Person {gone.id}", f"erased-{gone.id}@erased.invalid",
        )  # fmt: skip
        with server.database.read_transaction() as session:
            assert session.execute(select(ENTRY.c.start_time).where(ENTRY.c.user_id == gone.id)).scalar_one()
            everything = "".join(
                repr(row) for table in TABLES for row in session.execute(text(f'SELECT * FROM "{table}"'))
            )
        for trace in ("Ana", "ana@", "Almeida", "almeida", "Lisbon"):
            assert trace not in everything

    def test_nothing_is_left_that_let_them_in(self, server, as_user, people, anonymous):
        """The address and the device of a login are personal data too."""
        dora = people.employee("Dora")
        phone = create_second_factor(server.database, dora)
        anonymous.post("/auth/login", data={"username": "dora@example.com", "password": PASSWORD, "otp": phone.code()})
        as_user(people.admin("Ada")).put(f"/admin/users/{dora.id}/deactivate")

        self.erase(server.database, dora)

        tables = ("login_session", "api_token", "password_link", "known_address", "second_factor", "recovery_code")
        with server.database.read_transaction() as session:
            stored = {
                table: session.execute(text(f"SELECT * FROM {table} WHERE user_id = {dora.id}")).all()
                for table in tables
            }
        assert stored == {table: [] for table in tables}

    def test_the_chain_stays_valid(self, server, gone):
        self.erase(server.database, gone)

        with server.database.read_transaction() as session:
            proof = verify(session, [], on_progress=lambda *_: None)
        assert proof.erased >= 3

    def test_the_history_shows_that_something_is_missing_and_not_what(self, people, as_user, server, gone):
        self.erase(server.database, gone)
        admin = as_user(people.admin("Eva"))

        events = admin.get("/admin/audit", params={"subject_id": gone.id}).json()

        renamed = next(event for event in events if event["action"] == "user:change")
        assert renamed["before"] == {"email": None, "last_name": None}
        corrected = next(event for event in events if event["action"] == "time_entry:change")
        assert (corrected["reason"], corrected["after"]["description"]) == (None, "Shop")

    def test_an_active_person_is_not_erased(self, database, people):
        bob = people.employee("Bob")

        with pytest.raises(UserStillActive):
            self.erase(database, bob)

        assert people.reload(bob).first_name == "Bob"

    def test_nobody_is_erased_before_the_retention_time_of_their_last_entry_has_passed(self, server, people, gone):
        ends = instant(LONG_AGO[1]) + timedelta(days=server.settings.RETENTION_DAYS)

        with pytest.raises(RetentionNotExpired, match="until 2023-03-02"):
            self.erase(server.database, gone, at=ends - timedelta(seconds=1))
        self.erase(server.database, gone, at=ends)

        assert people.reload(gone).first_name == "Erased"

    def test_somebody_who_never_worked_can_be_erased_at_once(self, database, people):
        dan = people.employee("Dan", is_active=False)

        self.erase(database, dan)

        assert people.reload(dan).first_name == "Erased"

    def test_there_must_be_such_a_person(self, database, people):
        with pytest.raises(UserNotFound), database.write_transaction("test") as session:
            personal_data.erase(session, 2_000_000_000, at=utc_now())

    def test_the_database_lets_go_of_nothing_before_the_event_that_says_so(self, database, people):
        people.employee("Bob")

        with pytest.raises(IntegrityError, match="audit_event_is_append_only"), database.write_transaction() as session:
            session.execute(text("UPDATE audit_event SET personal = NULL"))

    def test_a_failed_erasure_leaves_everything_as_it_was(self, server, people, gone):
        with pytest.raises(ZeroDivisionError), server.database.write_transaction("test") as session:
            personal_data.erase(session, gone.id, at=utc_now())
            1 / 0  # noqa: B018 - whatever breaks behind it

        assert people.reload(gone).first_name == "Ana"

    def test_who_was_erased_can_not_log_in_even_when_activated(self, server, people, anonymous, gone):
        self.erase(server.database, gone)
        with server.database.write_transaction() as session:
            session.execute(update(USER).where(USER.c.id == gone.id).values(is_active=True))
        email = people.reload(gone).email

        answers = [
            anonymous.post("/auth/login", data={"username": name, "password": "violet-harbour-42-lantern"})
            for name in (email, "almeida@example.com")
        ]

        assert [answer.status_code for answer in answers] == [401, 401]


TABLES = ("user", "audit_event", "idempotency_key", "time_entry")
