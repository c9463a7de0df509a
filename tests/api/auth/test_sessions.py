"""Login sessions: refreshed, listed, and ended with immediate effect (threats 5, 12)."""

from datetime import timedelta

import pytest
from sqlalchemy import event, update

from app.core.security.access_tokens import TokenSigner
from app.core.security.opaque_tokens import RefreshRefused, RefreshToken
from app.core.time.clock import utc_now
from app.models.tables import LOGIN_SESSION
from app.services.auth import login_sessions
from tests.support.audit_asserts import AuditLog
from tests.support.credentials import create_login_session
from tests.support.factories import PASSWORD, instant

NINE = instant("2026-03-02 09:00")


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def phone(database, ana):
    """Ana's login session, opened at nine o'clock."""
    return create_login_session(database, ana, at=NINE)


def refresh(database, token, *, at):
    """Refresh the login session. Return None if the refresh is rejected."""
    try:
        read = database.keyring.refresh_tokens.decode(token)
        with database.write_transaction("request-1") as session:
            return login_sessions.refresh(session, read, at=at)
    except RefreshRefused:
        return None


def log_in(caller, **others):
    form = {"username": "ana@example.com", "password": PASSWORD} | others
    return caller.post("/auth/login", data=form, headers={"User-Agent": b"Ana's phone \xe9"}).json()


def test_a_token_that_is_older_than_its_session_lets_nobody_in(server, people, ana):
    """After a restore, ids are assigned again, so an old token of Eve could name Ana and her session."""
    opened = create_login_session(server.database, ana)
    sign = TokenSigner(server.settings).sign
    eves, anas = (sign(ana.id, opened.session_id, at=utc_now() - timedelta(seconds=ago)) for ago in (10, 0))

    with server.caller(eves) as eve, server.caller(anas) as me:
        assert eve.get("/auth/me").status_code == 401
        assert me.get("/auth/me").json()["id"] == ana.id


# Refreshing


def test_a_refresh_gives_new_tokens_of_the_same_session(ana, anonymous, server):
    first = log_in(anonymous)

    second = anonymous.post("/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()

    assert second["refresh_token"] != first["refresh_token"]
    with server.caller(second["access_token"]) as me:
        (session,) = me.get("/auth/sessions").json()
    assert session["current"]


def test_a_spent_refresh_token_gives_the_same_successor_for_ten_seconds_since_answers_get_lost(database, phone):
    second = refresh(database, phone.refresh_token, at=NINE)

    repeated = refresh(database, phone.refresh_token, at=NINE + timedelta(seconds=10))

    assert repeated == second
    assert refresh(database, second.refresh_token, at=NINE + timedelta(seconds=11)) is not None


def test_a_spent_refresh_token_that_comes_back_later_ends_the_session_for_both_who_have_it(database, phone):
    second = refresh(database, phone.refresh_token, at=NINE)

    assert refresh(database, phone.refresh_token, at=NINE + timedelta(seconds=11)) is None
    assert refresh(database, second.refresh_token, at=NINE + timedelta(seconds=12)) is None


def test_a_token_two_steps_old_ends_the_session_at_once(database, phone):
    second = refresh(database, phone.refresh_token, at=NINE)
    third = refresh(database, second.refresh_token, at=NINE)

    assert refresh(database, phone.refresh_token, at=NINE) is None
    assert refresh(database, third.refresh_token, at=NINE) is None


def test_reuse_is_on_record(database, ana, phone):
    refresh(database, phone.refresh_token, at=NINE)
    audit_log = AuditLog(database)

    refresh(database, phone.refresh_token, at=NINE + timedelta(minutes=1))

    (event,) = audit_log.new_events()
    assert (event.action, event.actor_id, event.subject_id) == ("session:end_on_reuse", None, ana.id)
    assert event.object_id == phone.session_id


def test_a_made_up_token_of_a_session_is_refused_and_ends_nothing(database, ana, phone):
    """Session ids can be guessed, but a guess must not end a session."""
    tokens = database.keyring.refresh_tokens
    good = tokens.decode(phone.refresh_token)
    text = phone.refresh_token
    made_up = [
        text[:-1] + ("A" if text[-1] != "A" else "B"),
        text[:30] + ("A" if text[30] != "A" else "B") + text[31:],
        text.removeprefix("ettr_")[:-22],
        "ettr_",
        "ettr_é",
        "ettr_" + "A" * 80,
        tokens.encode(RefreshToken(ana.id + 1, good.session_id, good.secret)),
        tokens.encode(RefreshToken(ana.id, good.session_id + 1, good.secret)),
        type(tokens)("another-key-with-enough-randomness-77aa").encode(good),
    ]

    assert [refresh(database, each, at=NINE) for each in made_up] == [None] * len(made_up)
    assert refresh(database, phone.refresh_token, at=NINE) is not None


def test_a_session_ends_fourteen_days_after_its_last_refresh(database, phone):
    second = refresh(database, phone.refresh_token, at=NINE + timedelta(days=13, hours=23))

    assert refresh(database, second.refresh_token, at=NINE + timedelta(days=27, hours=22)) is not None
    assert refresh(database, phone.refresh_token, at=NINE + timedelta(days=50)) is None


def test_a_session_that_is_always_refreshed_ends_ninety_days_after_its_login(database, phone):
    token, ages = phone.refresh_token, []
    for day in range(1, 100):
        session = refresh(database, token, at=NINE + timedelta(days=day))
        if session is None:
            break
        token = session.refresh_token
        ages.append(day)

    assert ages[-1] == 89


def test_a_deactivated_person_cannot_refresh(people, ana, anonymous, as_user):
    first, admin = log_in(anonymous), as_user(people.admin("Ada"))

    admin.put(f"/admin/users/{ana.id}/deactivate")
    refused = anonymous.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    admin.put(f"/admin/users/{ana.id}/activate")
    still = anonymous.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})

    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_refresh_token")
    assert still.status_code == 401, "what ended stays ended"


def test_one_kind_of_token_never_passes_for_another(ana, anonymous, server):
    tokens = log_in(anonymous)

    with server.caller(tokens["refresh_token"]) as thief:
        assert thief.get("/auth/me").status_code == 401
    assert anonymous.post("/auth/refresh", json={"refresh_token": tokens["access_token"][:200]}).status_code == 401


def test_sessions_that_ended_by_themselves_are_cleared_away(database, ana, phone):
    create_login_session(database, ana, at=NINE + timedelta(days=15))

    with database.read_transaction() as session:
        assert len(session.execute(LOGIN_SESSION.select()).all()) == 1


def test_a_clock_that_goes_back_makes_no_spent_token_good_again(database, phone):
    refresh(database, phone.refresh_token, at=NINE + timedelta(hours=1))

    assert refresh(database, phone.refresh_token, at=NINE) is None


def test_a_script_that_logs_in_for_every_call_ends_its_own_oldest_sessions(database, ana, phone):
    for number in range(100):
        create_login_session(database, ana, at=NINE + timedelta(seconds=number + 1))

    assert refresh(database, phone.refresh_token, at=NINE + timedelta(minutes=2)) is None
    with database.read_transaction() as session:
        assert len(session.execute(LOGIN_SESSION.select()).all()) == 100


# Listing and ending sessions


def test_people_see_where_they_are_logged_in(ana, anonymous, server):
    here, phone = log_in(anonymous), log_in(anonymous)

    with server.caller(here["access_token"]) as me:
        seen = me.get("/auth/sessions").json()

    assert [session["current"] for session in seen] == [False, True]
    assert {session["device"] for session in seen} == {"Ana's phone ?"}
    assert {session["address"] for session in seen} == {"127.0.0.1"}
    assert not [name for session in seen for name in session if "hash" in name or "token" in name]
    assert phone["access_token"] not in str(seen)


def test_a_session_says_when_it_was_last_used_to_within_five_minutes(ana, as_user, server):
    me = as_user(ana)
    used_at = set_last_use(server.database, utc_now() - timedelta(minutes=4))

    me.get("/auth/me")
    assert last_use(me) == used_at, "four minutes are not worth a write"

    set_last_use(server.database, utc_now() - timedelta(minutes=6))
    me.get("/auth/me")
    server.wait_for_background()
    assert last_use(me) >= utc_now() - timedelta(seconds=30)


def test_logging_out_ends_this_session_and_no_other(ana, as_user):
    here, phone = as_user(ana), as_user(ana)

    assert here.post("/auth/logout").status_code == 204

    assert (here.get("/auth/me").status_code, phone.get("/auth/me").status_code) == (401, 200)
    assert here.post("/auth/logout").status_code == 401


def test_a_lost_phone_is_logged_out_from_elsewhere(ana, as_user):
    here, phone = as_user(ana), as_user(ana)
    (lost,) = [each["id"] for each in phone.get("/auth/sessions").json() if each["current"]]

    assert here.delete(f"/auth/sessions/{lost}").status_code == 204

    assert (here.get("/auth/me").status_code, phone.get("/auth/me").status_code) == (200, 401)
    assert here.delete(f"/auth/sessions/{lost}").status_code == 404


def test_all_others_are_logged_out_at_once(ana, as_user):
    here, phone, tablet = as_user(ana), as_user(ana), as_user(ana)

    here.delete("/auth/sessions")

    assert [each.get("/auth/me").status_code for each in (here, phone, tablet)] == [200, 401, 401]


def test_nobody_sees_or_ends_a_colleagues_session(people, ana, as_user):
    anas, bobs = as_user(ana), as_user(people.employee("Bob"))
    (session,) = anas.get("/auth/sessions").json()

    refused = bobs.delete(f"/auth/sessions/{session['id']}")
    bobs.delete("/auth/sessions")

    assert (refused.status_code, refused.json()["code"]) == (404, "session_not_found")
    assert session["id"] not in [each["id"] for each in bobs.get("/auth/sessions").json()]
    assert anas.get("/auth/me").status_code == 200


def test_an_admin_ends_all_sessions_of_a_person(people, ana, as_user):
    here, phone, admin = as_user(ana), as_user(ana), as_user(people.admin("Ada"))

    assert admin.delete(f"/admin/users/{ana.id}/sessions").status_code == 204

    assert [each.get("/auth/me").status_code for each in (here, phone, admin)] == [401, 401, 200]


def test_a_punch_notes_its_use_in_its_own_transaction(people, ana, as_user, server):
    """Another transaction would mean another wait for the disk, exactly when most users clock in."""
    website, me = people.project("Website"), as_user(ana)
    set_last_use(server.database, utc_now() - timedelta(minutes=6))
    commits = []
    event.listen(server.app.state.runtime.database.engine, "commit", lambda _: commits.append(1))

    me.clock_in(website.id)
    server.wait_for_background()

    assert len(commits) == 1
    assert last_use(me) >= utc_now() - timedelta(seconds=30)


def last_use(caller):
    (session,) = [each for each in caller.get("/auth/sessions").json() if each["current"]]
    return instant(session["last_used_at"].replace("T", " ").removesuffix("Z"))


def set_last_use(database, at):
    with database.write_transaction() as session:
        session.execute(update(LOGIN_SESSION).values(last_used_at=at))
    return at
