"""Passwords: changed by their user, set by an admin, or set through a single-use link (threats 5, 15)."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.core.security.access_tokens import InvalidToken
from app.core.time.clock import utc_now
from app.schemas.auth.password import PasswordSet, PasswordSetByLink
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.auth import passwords
from app.services.auth.errors import LinkRefused
from app.services.auth.reauthentication import PasswordCheck, load_holder
from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import Call, send_simultaneously
from tests.support.credentials import (
    TEST_CLIENT,
    create_api_token,
    create_claims,
    create_password_link,
    create_second_factor,
)
from tests.support.databases import POSTGRESQL, settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import run_server
from tests.support.lock_waits import count_waiting, wait_until
from tests.support.smtp_server import Mailbox, run_smtp_server

NEW = "another-lantern-17-harbour"


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def ada(people, as_user):
    return as_user(people.admin("Ada"))


def log_in(caller, password=PASSWORD, email="ana@example.com"):
    return caller.post("/auth/login", data={"username": email, "password": password})


def change(caller, *, current=PASSWORD, new=NEW):
    return caller.post("/auth/password", json={"current_password": current, "new_password": new})


# Changing one's own password


def test_a_new_password_ends_every_session_and_opens_a_new_one(ana, as_user, anonymous, server):
    here, phone = as_user(ana), as_user(ana)

    answer = change(here)

    assert answer.status_code == 200
    assert [each.get("/auth/me").status_code for each in (here, phone)] == [401, 401]
    with server.caller(answer.json()["access_token"]) as me:
        assert me.get("/auth/me").json()["id"] == ana.id
    assert [log_in(anonymous, password).status_code for password in (PASSWORD, NEW)] == [401, 200]


@pytest.fixture(params=["their own", "an admin's", "by a link"])
def set_new_password(request, ana, ada, as_user, anonymous, server):
    """Return a function that sets a new password for Ana in one of the three ways."""
    ways = {
        "their own": lambda fields: as_user(ana).post("/auth/password", json=fields | {"current_password": PASSWORD}),
        "an admin's": lambda fields: ada.put(f"/admin/users/{ana.id}/password", json={"password": NEW, **fields}),
        "by a link": lambda fields: anonymous.post(
            "/auth/password/set", json=fields | {"token": create_password_link(server.database, ana)}
        ),
    }
    name = "an admin's" if request.param == "an admin's" else "new"

    def send(**fields):
        response = ways[request.param](fields if name == "an admin's" else fields | {"new_password": NEW})
        assert response.status_code in {200, 204}, response.text

    return send


def test_a_new_password_ends_the_api_tokens_that_a_thief_may_have_made(ana, people, server, set_new_password):
    bob = people.employee("Bob")
    token, bobs = (create_api_token(server.database, each, "entries:read").token for each in (ana, bob))
    audit_log = AuditLog(server.database)

    set_new_password()

    with server.caller(token) as terminal, server.caller(bobs) as other:
        assert terminal.get("/time-entries/current").status_code == 401
        assert other.get("/time-entries/current").status_code == 204
    assert "api_token:revoke" in [event.action for event in audit_log.new_events()]


def test_a_new_password_leaves_the_api_tokens_that_the_request_asks_to_keep(ana, server, set_new_password):
    token = create_api_token(server.database, ana, "entries:read").token

    set_new_password(keep_api_tokens=True)

    with server.caller(token) as terminal:
        assert terminal.get("/time-entries/current").status_code == 204


def test_the_present_password_is_needed(ana, as_user, anonymous):
    me = as_user(ana)

    refused = change(me, current="wrong-lantern-42-harbour")

    assert (refused.status_code, refused.json()["code"]) == (403, "invalid_password")
    assert me.get("/auth/me").status_code == 200
    assert log_in(anonymous).status_code == 200


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("short-one-7", "validation_failed"),
        ("password1234", "weak_password"),
        ("a" * 129, "validation_failed"),
        (PASSWORD, "password_unchanged"),
    ],
)
def test_a_new_password_is_long_hard_to_guess_and_new(ana, as_user, new, code):
    refused = change(as_user(ana), new=new)

    assert (refused.status_code, refused.json()["code"]) == (422, code)


def test_a_stolen_session_guesses_the_password_no_faster_than_a_login_does(ana, as_user):
    thief = as_user(ana)

    answers = [change(thief, current=f"guess-lantern-{number}-harbour") for number in range(11)]

    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    assert change(thief).status_code == 429, "the right one too: else the limit would tell"


def test_who_gets_another_password_while_theirs_is_checked_changes_nothing(database, people, ana):
    claims, ada = create_claims(database, ana), people.admin("Ada")
    with database.read_transaction() as session:
        check = PasswordCheck(load_holder(session, claims), TEST_CLIENT, matches=True)
    with database.write_transaction() as session:
        admin = Actor(ada.id, ada.role, "UTC", session_id=1)
        data = PasswordSet(password=NEW)
        passwords.set_by_admin(session, admin, ana.id, data, password_hash="the admin's", at=utc_now())

    with pytest.raises(InvalidToken), database.write_transaction() as session:
        passwords.change(session, claims, check, new_hash="hers", keep_api_tokens=False, at=utc_now())

    assert people.reload(ana).password_hash == "the admin's"


# Required changes


def test_who_must_change_their_password_can_do_nothing_else(ana, ada, anonymous, server):
    ada.put(f"/admin/users/{ana.id}/password", json={"password": NEW, "must_change_password": True})
    with server.caller(log_in(anonymous, NEW).json()["access_token"]) as me:
        assert me.get("/auth/me").json()["must_change_password"]
        refused = me.get("/time-entries/current")

        fresh = change(me, current=NEW, new="yet-another-harbour-99").json()

    assert (refused.status_code, refused.json()["code"]) == (403, "password_change_required")
    with server.caller(fresh["access_token"]) as me:
        assert not me.get("/auth/me").json()["must_change_password"]
        assert me.get("/time-entries/current").status_code == 204


def test_a_person_can_be_added_with_a_password_that_they_must_change(ada, anonymous, server):
    zoe = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "employee", "password": NEW}

    added = ada.post("/admin/users", json=zoe | {"must_change_password": True}).json()

    assert added["must_change_password"]
    with server.caller(log_in(anonymous, NEW, "zoe@example.com").json()["access_token"]) as me:
        assert me.get("/projects").json()["code"] == "password_change_required"


def test_a_setting_makes_people_change_what_they_are_given_unless_the_admin_says_otherwise(people, ana, db_url):
    zoe = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "employee", "password": NEW}
    eve = zoe | {"email": "eve@example.com", "must_change_password": False}
    nil = {name: value for name, value in zoe.items() if name != "password"} | {"email": "nil@example.com"}
    ada = people.admin("Ada")

    settings = settings_for(db_url, REQUIRE_PASSWORD_CHANGE=True)
    with run_server(settings) as server, server.caller(server.token(ada)) as admin:
        added = [admin.post("/admin/users", json=body).json() for body in (zoe, eve, nil)]
        reset = admin.put(f"/admin/users/{ana.id}/password", json={"password": NEW}).json()

    assert [each["must_change_password"] for each in [*added, reset]] == [True, False, False, True]


# Links


def test_a_person_without_a_password_sets_one_by_a_link_and_logs_in(ada, anonymous):
    zoe = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "employee"}
    added = ada.post("/admin/users", json=zoe).json()
    assert log_in(anonymous, " ", "zoe@example.com").status_code == 401

    link = ada.post(f"/admin/users/{added['id']}/password-link").json()
    done = anonymous.post("/auth/password/set", json={"token": link["token"], "new_password": NEW})

    assert (done.status_code, log_in(anonymous, NEW, "zoe@example.com").status_code) == (204, 200)


def test_a_link_works_once(ana, anonymous, server):
    token = create_password_link(server.database, ana)
    body = {"token": token, "new_password": NEW}

    answers = [anonymous.post("/auth/password/set", json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 401]
    assert answers[1].json()["code"] == "invalid_link"


@pytest.mark.parametrize("engine", [POSTGRESQL])  # SQLite has one writer at a time
def test_of_two_uses_of_a_link_at_once_one_sets_the_password(ana, server, db_url, engine):
    """Both have found the link when they wait for the lock on the user. In one worker process they would take turns."""
    body = {"token": create_password_link(server.database, ana), "new_password": NEW}

    with run_server(settings_for(db_url)) as another, ThreadPoolExecutor(1) as elsewhere:
        calls = [Call("POST", f"{each.base_url}/api/v1/auth/password/set", {}, body) for each in (server, another)]
        with server.database.write_transaction() as session:
            locks.lock_users(session, ana.id)
            both = elsewhere.submit(send_simultaneously, calls)
            wait_until(lambda: count_waiting(server, engine) == 2)
        answers = both.result()

    assert sorted(answer.status_code for answer in answers) == [204, 401]


def test_a_link_ends_after_its_time(database, ana):
    token = create_password_link(database, ana, at=utc_now() - timedelta(hours=48))

    with pytest.raises(LinkRefused), database.write_transaction() as session:
        data = PasswordSetByLink(token=token, new_password=NEW)
        passwords.set_by_link(session, data, new_hash="new", at=utc_now())


def test_a_new_link_takes_the_place_of_the_last(database, ana):
    old, new = create_password_link(database, ana), create_password_link(database, ana)

    with pytest.raises(LinkRefused), database.read_transaction() as session:
        passwords.check_link(session, old, at=utc_now())
    with database.read_transaction() as session:
        assert passwords.check_link(session, new, at=utc_now()) == ana.id


def test_a_password_that_was_changed_since_voids_the_link(ana, as_user, anonymous, server):
    token = create_password_link(server.database, ana)

    change(as_user(ana))

    assert anonymous.post("/auth/password/set", json={"token": token, "new_password": NEW}).status_code == 401


def test_a_link_ends_the_persons_sessions(ana, as_user, anonymous, server):
    me = as_user(ana)

    anonymous.post(
        "/auth/password/set", json={"token": create_password_link(server.database, ana), "new_password": NEW}
    )

    assert me.get("/auth/me").status_code == 401


def test_a_link_lets_nobody_past_the_second_factor(ana, anonymous, server):
    create_second_factor(server.database, ana)

    anonymous.post(
        "/auth/password/set", json={"token": create_password_link(server.database, ana), "new_password": NEW}
    )

    assert log_in(anonymous, NEW).json()["code"] == "otp_required"


def test_a_link_of_who_was_deactivated_since_does_nothing(ana, ada, anonymous, server):
    token = create_password_link(server.database, ana)
    ada.put(f"/admin/users/{ana.id}/deactivate")
    body = {"token": token, "new_password": NEW}

    refused = anonymous.post("/auth/password/set", json=body)
    ada.put(f"/admin/users/{ana.id}/activate")
    still = anonymous.post("/auth/password/set", json=body)

    assert [refused.status_code, still.status_code] == [401, 401]


def test_nobody_makes_a_link_for_who_is_deactivated(people, ada):
    dan = people.employee("Dan", is_active=False)

    refused = ada.post(f"/admin/users/{dan.id}/password-link")

    assert (refused.status_code, refused.json()["code"]) == (409, "user_inactive")


def test_a_weak_password_leaves_the_link_as_it_was(ana, anonymous, server):
    token = create_password_link(server.database, ana)

    refused = anonymous.post("/auth/password/set", json={"token": token, "new_password": "password1234"})
    done = anonymous.post("/auth/password/set", json={"token": token, "new_password": NEW})

    assert [refused.json()["code"], done.status_code] == ["weak_password", 204]


def test_without_mail_the_admin_gets_the_link_with_the_page_that_the_settings_name(people, ana, db_url):
    page = "https://time.example.com/set-password#{token}"
    ada = people.admin("Ada")
    with run_server(settings_for(db_url, PASSWORD_LINK_URL=page)) as server, server.caller(server.token(ada)) as admin:
        made = admin.post(f"/admin/users/{ana.id}/password-link")

    answer = made.json()
    assert (made.status_code, answer["sent"]) == (201, False)
    assert answer["link"] == page.replace("{token}", answer["token"])


def test_with_mail_the_person_gets_the_link_and_the_admin_does_not(people, ana, db_url):
    ada = people.admin("Ada")
    page = "https://time.example.com/set-password#{token}"
    with (
        run_smtp_server() as mailbox,
        run_server(settings_for(db_url, **mailbox.settings(), PASSWORD_LINK_URL=page)) as server,
    ):
        with server.caller(server.token(ada)) as admin:
            answer = admin.post(f"/admin/users/{ana.id}/password-link").json()
        (email,) = mailbox.messages
        token = re.search(r"https://time\.example\.com/set-password#(\S+)", email.get_content())[1]
        with server.caller() as anonymous:
            done = anonymous.post("/auth/password/set", json={"token": token, "new_password": NEW})

    assert (answer["sent"], answer["token"], answer["link"]) == (True, None, None)
    assert email["To"] == "ana@example.com"
    assert done.status_code == 204


def test_without_a_page_of_a_front_end_the_email_leads_to_the_page_of_the_service(people, ana, db_url):
    ada = people.admin("Ada")
    name = "time.example.com"
    with run_smtp_server() as mailbox:
        settings = settings_for(db_url, **mailbox.settings(), TRUSTED_HOSTS=[name])
        with run_server(settings) as server, server.caller(server.token(ada)) as admin:
            admin.post(f"/admin/users/{ana.id}/password-link", headers={"Host": name}).raise_for_status()
    (email,) = mailbox.messages

    assert re.search(rf"^https://{name}/app/#/set-password/ettl_\S+$", email.get_content(), re.MULTILINE)


def test_a_mail_server_that_refuses_is_told_to_the_admin_who_tries_again(people, ana, db_url):
    ada = people.admin("Ada")
    with (
        run_smtp_server(Mailbox(RCPT="550 No")) as mailbox,
        run_server(settings_for(db_url, **mailbox.settings())) as server,
        server.caller(server.token(ada)) as admin,
    ):
        refused = admin.post(f"/admin/users/{ana.id}/password-link")
        mailbox.refusals.clear()
        repeated = admin.post(f"/admin/users/{ana.id}/password-link")

    assert (refused.status_code, refused.json()["code"]) == (503, "mail_not_sent")
    assert (repeated.status_code, len(mailbox.messages)) == (201, 1)


def test_an_admin_has_no_way_around_their_own_present_password(people, as_user, server):
    """Otherwise, a thief of a login session could take over the account without password and code."""
    eve = people.admin("Eve")
    create_second_factor(server.database, eve)
    thief = as_user(eve)

    answers = [
        thief.put(f"/admin/users/{eve.id}/password", json={"password": NEW}),
        thief.post(f"/admin/users/{eve.id}/password-link"),
        thief.delete(f"/admin/users/{eve.id}/totp"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "own_account")] * 3


def test_a_link_that_went_to_a_wrong_address_dies_when_the_address_is_corrected(ana, ada, anonymous, server):
    token = create_password_link(server.database, ana)

    ada.patch(f"/admin/users/{ana.id}", json={"email": "ana.silva@example.com"})

    assert anonymous.post("/auth/password/set", json={"token": token, "new_password": NEW}).status_code == 401


def test_the_old_password_in_other_characters_is_the_old_password(ana, as_user):
    full_width = "".join(chr(ord(each) + 0xFEE0) if each.isalpha() else each for each in PASSWORD)

    assert change(as_user(ana), new=full_width).json()["code"] == "password_unchanged"
