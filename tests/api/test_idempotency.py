"""A retry with the same Idempotency-Key returns the stored response and changes nothing (threats 31)."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, select, update

from app.core.time.clock import utc_now
from app.models.tables import ENTRY, IDEMPOTENCY_KEY
from app.services.access import locks
from app.services.idempotency import PURGE_BATCH_SIZE
from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import Call, send_simultaneously
from tests.support.databases import SQLITE, settings_for
from tests.support.in_process_server import run_server
from tests.support.times import NOW, hour_entry, hours_ago_utc, refusal, two_hour_entry

REQUESTS = ("clock in", "clock out", "clock out of an entry", "enter by hand", "bulk")
REUSED = (422, "idempotency_key_reused")


def request_for(name, project, entry_id=1):
    """Return path and body of a request that accepts a key."""
    return {
        "clock in": ("/time-entries/clock-in", {"project_id": project.id, "description": "Landing page"}),
        "clock out": ("/time-entries/clock-out", None),
        "clock out of an entry": (f"/time-entries/{entry_id}/clock-out", None),
        "enter by hand": ("/time-entries", two_hour_entry(project)),
        "bulk": ("/time-entries/bulk", {"operations": [{"action": "create", **two_hour_entry(project)}]}),
    }[name]


def send(caller, address, body, key=None, **params):
    headers = {} if key is None else {"Idempotency-Key": key}
    return caller.post(address, json=body, headers=headers, params=params)


def comparable(answer):
    """Return the parts of the response that must be equal."""
    return answer.status_code, answer.headers.get("ETag"), answer.content


def entries_in(database):
    with database.read_transaction() as session:
        return session.execute(select(func.count()).select_from(ENTRY)).scalar_one()


def keys_in(database):
    with database.read_transaction() as session:
        return {
            (row.user_id, row.key) for row in session.execute(select(IDEMPOTENCY_KEY.c.user_id, IDEMPOTENCY_KEY.c.key))
        }


def age_keys(database, **age):
    """Make all stored responses this old."""
    with database.write_transaction() as session:
        session.execute(update(IDEMPOTENCY_KEY).values(created_at=utc_now() - timedelta(**age)))


@pytest.fixture(params=REQUESTS)
def keyed_request(request, people, ana, website):
    """One of the five requests that accept a key. Ana is clocked in if the request clocks out."""
    entry_id = people.entry(ana, website, hours_ago_utc(3), None) if request.param.startswith("clock out") else 1
    return request_for(request.param, website, entry_id)


class TestTheSameRequest:
    def test_it_is_done_once_and_answered_twice(self, server, as_user, ana, keyed_request):
        audit_log = AuditLog(server.database)

        first, repeated = send(as_user(ana), *keyed_request, "k-1"), send(as_user(ana), *keyed_request, "k-1")

        assert first.is_success
        assert comparable(repeated) == comparable(first)
        assert first.headers.get("Location") == repeated.headers.get("Location")
        assert [each.headers.get("Idempotent-Replayed") for each in (first, repeated)] == [None, "true"]
        assert entries_in(server.database) == 1
        assert len(audit_log.new_events()) == 1

    def test_its_answer_is_what_was_true_then(self, server, as_user, ana, website):
        me = as_user(ana)
        started = send(me, *request_for("clock in", website), "in")
        ended = send(me, *request_for("clock out", website), "out")
        me.patch(f"/time-entries/{started.json()['id']}", json={"description": "Shop"})

        late = [send(me, *request_for("clock in", website), "in"), send(me, *request_for("clock out", website), "out")]

        assert [comparable(answer) for answer in late] == [comparable(started), comparable(ended)]
        assert me.get("/time-entries/current").status_code == 204
        assert entries_in(server.database) == 1

    def test_it_is_the_same_in_other_words(self, server, as_user, ana, website):
        start, body = NOW - timedelta(hours=24), two_hour_entry(website)
        in_berlin = {"start_time": start.astimezone(ZoneInfo("Europe/Berlin")).isoformat(), "description": ""}

        first = send(as_user(ana), "/time-entries", body, "k-1")
        repeated = send(as_user(ana), "/time-entries", dict(reversed((body | in_berlin).items())), "k-1")

        assert comparable(repeated) == comparable(first)
        assert entries_in(server.database) == 1

    def test_a_switch_closes_and_opens_once(self, server, people, as_user, ana, website):
        people.entry(ana, website, hours_ago_utc(3), None)
        audit_log = AuditLog(server.database)

        answers = [send(as_user(ana), *request_for("clock in", website), "k-1", switch=True) for _ in range(3)]

        assert len({comparable(answer) for answer in answers}) == 1
        assert [event.action for event in audit_log.new_events()] == ["time_entry:switch", "time_entry:clock_in"]

    def test_without_a_key_it_is_done_each_time(self, server, as_user, ana, website):
        first, repeated = (send(as_user(ana), *request_for("enter by hand", website)) for _ in range(2))

        assert (first.status_code, refusal(repeated)) == (201, (409, "entry_overlaps"))
        assert keys_in(server.database) == set()

    def test_under_another_key_it_is_another_request(self, as_user, ana, website):
        first, other = (send(as_user(ana), *request_for("enter by hand", website), key) for key in ("k-1", "K-1"))

        assert (first.status_code, refusal(other)) == (201, (409, "entry_overlaps"))


class TestAnotherRequest:
    def test_a_key_belongs_to_one_operation(self, server, as_user, ana, website, keyed_request):
        send(as_user(ana), *keyed_request, "k-1")
        audit_log = AuditLog(server.database)
        others = [request_for(name, website, entry_id=999) for name in REQUESTS]

        answers = [send(as_user(ana), *other, "k-1") for other in others if other != keyed_request]

        assert {refusal(answer) for answer in answers} == {REUSED}
        assert len(answers) >= 4
        assert audit_log.new_events() == []

    @pytest.mark.parametrize("name", ["clock in", "enter by hand"])
    def test_a_key_belongs_to_one_body(self, server, as_user, ana, website, name):
        address, body = request_for(name, website)
        first = send(as_user(ana), address, body, "k-1")

        changed = send(as_user(ana), address, body | {"description": "Shop"}, "k-1")

        assert (first.is_success, refusal(changed)) == (True, REUSED)
        assert entries_in(server.database) == 1

    def test_a_switch_is_another_request_than_a_clock_in(self, as_user, ana, website):
        plain = send(as_user(ana), *request_for("clock in", website), "k-1")

        switch = send(as_user(ana), *request_for("clock in", website), "k-1", switch=True)

        assert (plain.status_code, refusal(switch)) == (200, REUSED)

    def test_one_operation_more_is_another_bulk(self, server, as_user, ana, website):
        operations = [{"action": "create", **hour_entry(website, number)} for number in range(2)]
        send(as_user(ana), "/time-entries/bulk", {"operations": operations[:1]}, "k-1")

        longer = send(as_user(ana), "/time-entries/bulk", {"operations": operations}, "k-1")

        assert refusal(longer) == REUSED
        assert entries_in(server.database) == 1

    def test_two_people_may_choose_the_same_key(self, server, as_user, ana, bob, website):
        anas = send(as_user(ana), *request_for("clock in", website), "k-1")
        bobs = send(as_user(bob), *request_for("clock in", website), "k-1")

        assert [answer.json()["user_id"] for answer in (anas, bobs)] == [ana.id, bob.id]
        assert keys_in(server.database) == {(ana.id, "k-1"), (bob.id, "k-1")}


class TestRefusals:
    def test_a_refused_punch_is_judged_anew(self, server, as_user, ana, website):
        early = send(as_user(ana), *request_for("clock out", website), "k-1")
        as_user(ana).clock_in(website.id)

        late = send(as_user(ana), *request_for("clock out", website), "k-1")

        assert (refusal(early), late.status_code) == ((409, "not_clocked_in"), 200)

    @pytest.mark.parametrize("name", ["enter by hand", "bulk"])
    def test_a_refused_entry_is_judged_anew_once_its_place_is_free(self, server, as_user, ana, website, name):
        in_the_way = send(as_user(ana), *request_for("enter by hand", website)).json()
        refused = send(as_user(ana), *request_for(name, website), "k-1")
        keys = keys_in(server.database)
        as_user(ana).delete(f"/time-entries/{in_the_way['id']}", params={"reason": "Entered twice"})

        done = send(as_user(ana), *request_for(name, website), "k-1")

        assert (refused.status_code, keys, done.is_success) == (409, set(), True)

    def test_a_refused_request_leaves_its_key_to_another(self, as_user, ana, website):
        send(as_user(ana), *request_for("clock out", website), "k-1")

        assert send(as_user(ana), *request_for("clock in", website), "k-1").status_code == 200

    @pytest.mark.parametrize(
        "key", ["", "k" * 256, "two words", "tab\tbed", "Schlüssel".encode(), b"caf\xe9"], ids=repr
    )
    def test_a_key_is_1_to_255_visible_ascii_characters(self, server, as_user, ana, website, key):
        audit_log = AuditLog(server.database)

        answers = [send(as_user(ana), *request_for(name, website), key) for name in REQUESTS]

        assert [refusal(answer) for answer in answers] == [(422, "validation_failed")] * 5
        assert {answer.json()["errors"][0]["loc"][1].lower() for answer in answers} == {"idempotency-key"}
        assert audit_log.new_events() == []

    @pytest.mark.parametrize("key", ["k", "~" * 255, "\"'%_\\;--"])
    def test_every_visible_ascii_character_is_as_good_as_another(self, as_user, ana, website, key):
        first, repeated = (send(as_user(ana), *request_for("clock in", website), key) for _ in range(2))

        assert first.status_code == 200
        assert comparable(repeated) == comparable(first)


class TestADayLater:
    def test_an_answer_is_kept_for_24_hours(self, server, as_user, ana, keyed_request):
        first = send(as_user(ana), *keyed_request, "k-1")
        age_keys(server.database, hours=23, minutes=59)

        assert comparable(send(as_user(ana), *keyed_request, "k-1")) == comparable(first)

    def test_then_its_key_is_free(self, server, as_user, ana, website):
        first = send(as_user(ana), *request_for("clock in", website), "k-1", switch=True)
        age_keys(server.database, hours=24)

        second = send(as_user(ana), *request_for("clock in", website), "k-1", switch=True)
        repeated = send(as_user(ana), *request_for("clock in", website), "k-1", switch=True)

        assert first.json()["id"] != second.json()["id"]
        assert comparable(repeated) == comparable(second)

    def test_a_free_key_may_be_another_requests(self, server, as_user, ana, website):
        send(as_user(ana), *request_for("clock in", website), "k-1")
        age_keys(server.database, hours=24)

        assert send(as_user(ana), *request_for("enter by hand", website), "k-1").status_code == 201

    def test_old_keys_go_when_anybody_writes_with_a_new_one(self, server, as_user, ana, bob, website):
        """Keys of users who never write again are deleted too."""
        for user in (ana, bob):
            send(as_user(user), *request_for("enter by hand", website), "old")
        age_keys(server.database, hours=24)
        send(as_user(ana), "/time-entries", two_hour_entry(website, days=2), "new")

        send(as_user(ana), "/time-entries", two_hour_entry(website, days=3), "newer")

        assert keys_in(server.database) == {(ana.id, "new"), (ana.id, "newer")}

    def test_a_punch_lets_go_of_a_few_at_once_and_never_of_its_own(self, server, as_user, ana, bob, website):
        """A clock-in deletes a bounded number of old keys, so that it stays fast."""
        with server.database.write_transaction() as session:
            rows = [{"user_id": bob.id, "key": f"old-{number}"} for number in range(PURGE_BATCH_SIZE + 5)]
            stored = {"fingerprint": "f", "answer": "{}", "created_at": utc_now() - timedelta(hours=25)}
            session.execute(insert(IDEMPOTENCY_KEY), [row | stored for row in rows])

        send(as_user(ana), *request_for("enter by hand", website), "k-1")

        assert len(keys_in(server.database)) == 5 + 1
        assert (ana.id, "k-1") in keys_in(server.database)


class TestWhoAsks:
    def test_a_retry_needs_a_token(self, as_user, anonymous, ana, keyed_request):
        send(as_user(ana), *keyed_request, "k-1")

        assert refusal(send(anonymous, *keyed_request, "k-1")) == (401, "not_authenticated")

    def test_a_retry_needs_an_active_person(self, as_user, ada, ana, keyed_request):
        """Threats 5."""
        send(as_user(ana), *keyed_request, "k-1")
        as_user(ada).put(f"/admin/users/{ana.id}/deactivate")

        assert refusal(send(as_user(ana), *keyed_request, "k-1")) == (401, "not_authenticated")

    @pytest.mark.parametrize("name", ["enter by hand", "bulk"])
    def test_a_manager_sends_an_entry_of_her_teams_again(self, server, as_user, mia, ana, website, name):
        body = two_hour_entry(website, user_id=ana.id, reason="Her terminal was broken")
        address = request_for(name, website)[0]
        body = {"operations": [{"action": "create"} | body]} if name == "bulk" else body
        audit_log = AuditLog(server.database)

        first, repeated = send(as_user(mia), address, body, "k-1"), send(as_user(mia), address, body, "k-1")

        assert first.is_success
        assert comparable(repeated) == comparable(first)
        assert [(event.actor_id, event.subject_id) for event in audit_log.new_events()] == [(mia.id, ana.id)]
        assert keys_in(server.database) == {(mia.id, "k-1")}, "the sender's, not the owner's"

    def test_a_key_sent_for_ana_tells_her_nothing(self, as_user, mia, ana, website):
        send(as_user(mia), "/time-entries", two_hour_entry(website, user_id=ana.id, reason="On paper"), "k-1")

        anas = send(as_user(ana), "/time-entries", two_hour_entry(website, days=2), "k-1")

        assert (anas.status_code, anas.json()["user_id"]) == (201, ana.id)

    @pytest.mark.parametrize("name", ["enter by hand", "bulk"])
    def test_an_entry_for_somebody_who_left_the_team_is_not_shown_again(
        self, server, as_user, people, ada, mia, ana, website, name
    ):
        """Threats 4."""
        body = two_hour_entry(website, user_id=ana.id, reason="On paper")
        address = request_for(name, website)[0]
        body = {"operations": [{"action": "create"} | body]} if name == "bulk" else body
        first = send(as_user(mia), address, body, "k-1")
        as_user(ada).put(f"/admin/users/{ana.id}/assign-manager", params={"manager_id": people.manager("Max").id})
        audit_log = AuditLog(server.database)

        repeated = send(as_user(mia), address, body, "k-1")

        assert (first.is_success, refusal(repeated)) == (True, (404, "user_not_found"))
        assert audit_log.new_events() == []


def test_who_waits_in_vain_for_the_first_of_two_twins_is_told_so(db_url, server, engine, as_user, ana, website):
    """On PostgreSQL the holder of Ana's row lock may be the first request. SQLite has only one lock for all writers."""
    headers = {"Authorization": f"Bearer {server.token(ana)}"}
    with run_server(settings_for(db_url, DB_LOCK_TIMEOUT_SECONDS=1)) as impatient:
        base = f"{impatient.base_url}/api/v1"
        names = ("clock in", "enter by hand", "bulk")
        requests = [request_for(name, website) for name in names]
        twins = [Call("POST", base + address, headers | {"Idempotency-Key": "k-1"}, body) for address, body in requests]
        plain = Call("POST", base + requests[0][0], headers, requests[0][1])
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            *answers, without_key = send_simultaneously([*twins, plain])

        healed = send_simultaneously(twins[:1])

    expected = {503} if engine == SQLITE else {409}
    codes = {"service_busy", "database_unavailable"} if engine == SQLITE else {"request_in_flight"}
    assert {answer.status_code for answer in answers} == expected
    assert {answer.json()["code"] for answer in answers} <= codes
    assert without_key.status_code == 503
    assert healed[0].status_code == 200
    assert entries_in(server.database) == 1
