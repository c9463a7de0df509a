"""API tokens: scopes, expiry, shown only once, and never more rights than their owner."""

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core.security.opaque_tokens import API_TOKEN_PREFIX, _encode_base64url, decode_base64url, digest
from app.core.time.clock import utc_now
from app.models.tables import API_TOKEN
from tests.support.credentials import create_api_token
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server


@pytest.fixture
def ana(people):
    return people.employee("Ana")


def token_request(**changes):
    in_a_week = f"{utc_now() + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    return {"name": "Terminal at the gate", "scopes": ["entries:write"], "expires_at": in_a_week} | changes


def test_a_terminal_clocks_its_owner_in_with_a_token(people, ana, as_user, server):
    website = people.project("Website")

    made = as_user(ana).post("/auth/api-tokens", json=token_request())

    assert made.status_code == 201
    with server.caller(made.json()["token"]) as terminal:
        assert terminal.clock_in(website.id).json()["user_id"] == ana.id
        assert terminal.clock_out().status_code == 200


def test_a_token_is_shown_once_and_stored_as_a_digest(ana, as_user, server):
    me = as_user(ana)
    token = me.post("/auth/api-tokens", json=token_request()).json()["token"]

    (listed,) = me.get("/auth/api-tokens").json()

    assert token.startswith("ett_")
    assert len(token) >= 40
    assert listed == listed | {"name": "Terminal at the gate", "scopes": ["entries:write"], "last_used_at": None}
    assert listed.keys() == {"id", "user_id", "name", "scopes", "created_at", "expires_at", "last_used_at"}
    with server.database.read_transaction() as session:
        assert token not in repr(session.execute(API_TOKEN.select()).all())


def test_a_revoked_token_stops_at_once(ana, as_user, server):
    made, me = create_api_token(server.database, ana, "entries:read"), as_user(ana)
    with server.caller(made.token) as terminal:
        assert terminal.get("/auth/me").status_code == 200

        assert me.delete(f"/auth/api-tokens/{made.id}").status_code == 204

        assert terminal.get("/auth/me").status_code == 401
    assert me.delete(f"/auth/api-tokens/{made.id}").status_code == 404


def test_a_token_stops_when_it_expires(ana, server):
    made = create_api_token(server.database, ana, "entries:read")
    with server.database.write_transaction() as session:
        session.execute(update(API_TOKEN).values(expires_at=utc_now()))

    with server.caller(made.token) as terminal:
        assert terminal.get("/auth/me").status_code == 401


@pytest.mark.parametrize("days", [-1, 0, 367])
def test_a_token_expires_in_the_future_and_within_a_year(ana, as_user, days):
    expires_at = f"{utc_now() + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"

    refused = as_user(ana).post("/auth/api-tokens", json=token_request(expires_at=expires_at))

    assert (refused.status_code, refused.json()["code"]) == (422, "expiry_out_of_range")


@pytest.mark.parametrize("scopes", [[], ["everything"], ["entries:read", "entries:read"], "entries:read", [1]])
def test_scopes_are_known_and_named_once(ana, as_user, scopes):
    assert as_user(ana).post("/auth/api-tokens", json=token_request(scopes=scopes)).status_code == 422


def test_nobody_makes_a_token_for_more_than_they_may_do(people, ana, as_user):
    refused = [
        as_user(each).post("/auth/api-tokens", json=token_request(scopes=["admin"]))
        for each in (ana, people.manager("Mia"))
    ]

    assert [answer.json()["code"] for answer in refused] == ["role_required"] * 2


def test_a_token_of_an_admin_who_was_demoted_is_an_employees(people, as_user, server):
    eve, ada = people.admin("Eve"), people.admin("Ada")
    token = create_api_token(server.database, eve, "admin").token
    with server.caller(token) as script:
        assert script.get("/admin/users").status_code == 200

        as_user(ada).patch(f"/admin/users/{eve.id}", json={"role": "employee"})

        assert script.get("/admin/users").json()["code"] == "role_required"


def test_a_token_of_who_was_deactivated_stays_dead_when_they_come_back(people, ana, as_user, server):
    token, admin = create_api_token(server.database, ana, "entries:read").token, as_user(people.admin("Ada"))
    with server.caller(token) as terminal:
        admin.put(f"/admin/users/{ana.id}/deactivate")
        assert terminal.get("/auth/me").status_code == 401
        admin.put(f"/admin/users/{ana.id}/activate")
        assert terminal.get("/auth/me").status_code == 401


def test_a_token_makes_no_tokens_and_changes_no_password(ana, server):
    """Otherwise, a thief could keep access after the stolen token is revoked."""
    every_scope = ("entries:read", "entries:write", "reports:read")
    with server.caller(create_api_token(server.database, ana, *every_scope).token) as thief:
        answers = [
            thief.post("/auth/api-tokens", json=token_request()),
            thief.post("/auth/password", json={"current_password": "a", "new_password": "another-lantern-17"}),
            thief.post("/auth/totp"),
            thief.get("/auth/sessions"),
            thief.get("/auth/me/export"),
            thief.post("/auth/logout"),
        ]

    assert [answer.json()["code"] for answer in answers] == ["scope_required"] * 6


def test_a_colleagues_token_looks_as_if_it_did_not_exist(people, ana, as_user, server):
    made, bob = create_api_token(server.database, ana, "entries:read"), as_user(people.employee("Bob"))

    assert bob.get("/auth/api-tokens").json() == []
    assert bob.delete(f"/auth/api-tokens/{made.id}").status_code == 404
    with server.caller(made.token) as terminal:
        assert terminal.get("/auth/me").status_code == 200


def test_an_admin_sees_everybodys_tokens_and_revokes_any(people, ana, as_user, server):
    bob = people.employee("Bob")
    anas, bobs = (create_api_token(server.database, each, "entries:read") for each in (ana, bob))
    admin = as_user(people.admin("Ada"))

    everybodys = admin.get("/admin/api-tokens", params={"limit": 1})
    of_bob = admin.get("/admin/api-tokens", params={"user_id": bob.id})
    admin.delete(f"/admin/api-tokens/{anas.id}")

    assert (everybodys.headers["X-Total-Count"], [each["id"] for each in everybodys.json()]) == ("2", [anas.id])
    assert [each["id"] for each in of_bob.json()] == [bobs.id]
    assert [each["id"] for each in admin.get("/admin/api-tokens").json()] == [bobs.id]
    assert admin.delete(f"/admin/api-tokens/{anas.id}").status_code == 404


def test_a_token_says_when_it_was_last_used(ana, as_user, server):
    with server.caller(create_api_token(server.database, ana, "entries:read").token) as terminal:
        terminal.get("/time-entries/current")
    server.wait_for_background()

    (listed,) = as_user(ana).get("/auth/api-tokens").json()

    assert listed["last_used_at"] is not None


def test_fifty_tokens_are_enough(ana, as_user, server):
    for _ in range(50):
        create_api_token(server.database, ana, "entries:read")

    refused = as_user(ana).post("/auth/api-tokens", json=token_request())

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_api_tokens")


def test_a_token_that_names_another_person_is_nobodys(people, ana, server):
    """The user id in the token only says which user to lock first. It grants nothing."""
    bob = people.employee("Bob")
    token = create_api_token(server.database, ana, "entries:read").token
    content = decode_base64url(token.removeprefix(API_TOKEN_PREFIX))

    with server.caller(API_TOKEN_PREFIX + _encode_base64url(bob.id.to_bytes(4) + content[4:])) as thief:
        assert thief.get("/auth/me").status_code == 401


def made_up_token():
    return API_TOKEN_PREFIX + _encode_base64url((1).to_bytes(4) + secrets.token_bytes(32))


def replace_by_token_of_0_9(database, token):
    """Give an API token the format of version 0.9, in which 256 bits are random."""
    replacement = made_up_token()
    with database.write_transaction() as session:
        session.execute(update(API_TOKEN).where(API_TOKEN.c.id == token.id).values(token_hash=digest(replacement)))
    return replacement


class TestMadeUpTokens:
    """A token that nobody issued costs a query, so one network may send as many of them as one credential requests."""

    @pytest.fixture
    def server(self, db_url):
        with run_server(settings_for(db_url, REQUESTS_PER_MINUTE=10)) as started:
            yield started

    @pytest.fixture
    def people(self, server):
        return Company(server.database)

    def test_a_new_token_for_each_request_helps_nobody(self, server):
        answers = []
        for _ in range(12):
            with server.caller(made_up_token()) as guesser:
                answers.append(guesser.get("/time-entries/current").status_code)

        assert answers == [401] * 10 + [429] * 2

    def test_a_terminal_in_the_same_network_works_on(self, ana, server):
        token = create_api_token(server.database, ana, "entries:read").token
        for _ in range(12):
            with server.caller(made_up_token()) as guesser:
                guesser.get("/time-entries/current")

        with server.caller(token) as terminal:
            assert terminal.get("/time-entries/current").status_code == 204

    def test_a_token_of_0_9_works_and_has_a_limit_of_its_own_once_it_was_accepted(self, ana, server):
        old = replace_by_token_of_0_9(server.database, create_api_token(server.database, ana, "entries:read"))
        with server.caller(old) as terminal:
            assert terminal.get("/time-entries/current").status_code == 204
            for _ in range(12):
                with server.caller(made_up_token()) as guesser:
                    guesser.get("/time-entries/current")

            assert [terminal.get("/time-entries/current").status_code for _ in range(11)] == [204] * 10 + [429]

    def test_a_token_outlives_a_new_secret_key(self, ana, server):
        token = create_api_token(server.database, ana, "entries:read").token
        other_key = settings_for(str(server.settings.DB_URL), SECRET_KEY="another-secret-key-of-thirty-two-characters")

        with run_server(other_key) as restarted, restarted.caller(token) as terminal:
            assert terminal.get("/time-entries/current").status_code == 204


def test_an_admins_token_does_not_become_an_admins_session(people, server):
    """Otherwise, a thief could escape scope, expiry and second factor with a new password, a link or a new admin."""
    eve, ana, ada = people.admin("Eve"), people.employee("Ana"), people.admin("Ada")
    zoe = {"email": "zoe@example.com", "first_name": "Zoe", "last_name": "Ng", "role": "admin", "password": PASSWORD}
    header = "email,first_name,last_name,role,manager_email,time_zone\n"
    with server.caller(create_api_token(server.database, ada, "admin").token) as thief:
        answers = [
            *(thief.put(f"/admin/users/{each.id}/password", json={"password": PASSWORD}) for each in (ada, eve)),
            *(thief.post(f"/admin/users/{each.id}/password-link") for each in (ada, eve)),
            thief.delete(f"/admin/users/{eve.id}/totp"),
            thief.delete(f"/admin/users/{eve.id}/sessions"),
            thief.post("/admin/users", json=zoe),
            thief.patch(f"/admin/users/{ana.id}", json={"role": "admin"}),
            thief.post(
                "/admin/users/import",
                content=f"{header}zoe@example.com,Zoe,Ng,admin,,",
                headers={"Content-Type": "text/csv"},
            ),
        ]

    assert [answer.json()["code"] for answer in answers] == ["scope_required"] * 9
