"""The rate limit of a user: a 429 with the seconds to wait, and no effect on other users."""

import re

import httpx
import pytest

from app.api.dependencies.write_quota import WriteKind
from app.core.server.rate_limit import MIB
from app.core.time.clock import monotonic_seconds
from tests.support.credentials import create_api_token, create_login_session
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server
from tests.support.times import hour_entry

QUOTA = 10  # one more request is allowed every 6 s, and each test is faster


@pytest.fixture
def server(db_url):
    with run_server(settings_for(db_url, REQUESTS_PER_MINUTE=QUOTA)) as started:
        yield started


@pytest.fixture
def people(server):
    return Company(server.database)


def test_the_request_after_a_minutes_worth_is_429_and_says_when_to_come_back(people, as_user):
    ana, bob = as_user(people.employee("Ana")), as_user(people.employee("Bob"))

    answers = [ana.get("/auth/me").status_code for _ in range(QUOTA)]
    refused = ana.get("/auth/me")
    of_bob = bob.get("/auth/me")

    assert answers == [200] * QUOTA
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    seconds = int(refused.headers["Retry-After"])
    assert 1 <= seconds <= 6
    assert refused.headers["RateLimit-Policy"] == f'"requests";q={QUOTA};w=60'
    assert refused.headers["RateLimit"] == f'"requests";r=0;t={seconds}'
    assert of_bob.status_code == 200


def test_refreshes_are_counted_for_each_login_session_also_if_it_has_ended(people, server, as_user, anonymous):
    """Refreshes need no access token, so they would have no limit. Those of a thief leave the user's requests alone."""
    ana = people.employee("Ana")
    lost, other = (create_login_session(server.database, ana) for _ in range(2))
    of_lost, of_other = ({"refresh_token": each.refresh_token} for each in (lost, other))

    answers = [anonymous.post("/auth/refresh", json=of_lost).status_code for _ in range(QUOTA - 1)]
    assert as_user(ana).delete(f"/auth/sessions/{lost.session_id}").status_code == 204
    ended, refused = (anonymous.post("/auth/refresh", json=of_lost) for _ in range(2))

    assert answers == [200] * (QUOTA - 1)
    assert (ended.status_code, ended.json()["code"]) == (401, "invalid_refresh_token")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert anonymous.post("/auth/refresh", json=of_other).status_code == 200


def test_every_answer_to_a_credential_says_how_many_requests_are_left(people, as_user, anonymous):
    ana, bob = as_user(people.employee("Ana")), people.employee("Bob")
    website = people.project("Website")

    answers = [
        ana.get("/auth/me"),
        ana.clock_in(website.id),
        ana.clock_in(website.id),
        ana.get(f"/admin/users/{bob.id}"),
        ana.get("/time-entries/0"),
        ana.get("/auth/me/export"),
    ]
    bulk = ana.post(
        "/time-entries/bulk",
        json={"operations": [{"action": "delete", "id": number, "reason": "Twice"} for number in (7, 8, 9)]},
    )

    assert [answer.status_code for answer in answers] == [200, 200, 409, 403, 422, 200]
    assert {answer.headers["RateLimit-Policy"] for answer in [*answers, bulk]} == {f'"requests";q={QUOTA};w=60'}
    left = [re.fullmatch(r'"requests";r=(\d+);t=([1-6])', answer.headers["RateLimit"]) for answer in [*answers, bulk]]
    assert [int(match[1]) for match in left] == [9, 8, 7, 6, 5, 4, 1]
    assert "RateLimit" not in anonymous.get("/auth/me").headers
    assert "RateLimit" not in anonymous.at_root("GET", "/health/live").headers


def test_every_operation_counts_and_a_refused_one_changes_nothing(people, as_user):
    ana_herself, website = people.employee("Ana"), people.project("Website")
    ana = as_user(ana_herself)
    for _ in range(QUOTA // 2):
        ana.get("/projects")
        ana.get("/auth/me/export")

    refused = ana.clock_in(website.id)

    assert refused.status_code == 429
    assert as_user(people.admin("Ada")).get("/reports/presence").json() == []


def test_a_bulk_counts_as_its_number_of_operations_and_a_refused_one_changes_nothing(people, as_user):
    ana_herself, website = people.employee("Ana"), people.project("Website")
    ana = as_user(ana_herself)
    operations = [{"action": "create"} | hour_entry(website, number) for number in range(QUOTA + 1)]

    done = ana.post("/time-entries/bulk", json={"operations": operations[:6]})
    refused = ana.post("/time-entries/bulk", json={"operations": operations[6:]})
    codes = [ana.get("/time-entries/current").status_code for _ in range(4)]

    assert (done.status_code, refused.status_code, refused.json()["code"]) == (200, 429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 12
    assert codes == [204, 204, 204, 429], "the refused one counted as one request"
    entries = as_user(people.admin("Ada")).get("/time-entries", params={"user_id": ana_herself.id}).json()
    assert len(entries) == 6


def test_a_bulk_of_an_api_token_counts_as_its_number_of_operations_too(people, server):
    ana, website = people.employee("Ana"), people.project("Website")
    operations = [{"action": "create"} | hour_entry(website, number) for number in range(QUOTA // 2 + 1)]

    with server.caller(create_api_token(server.database, ana, "entries:write").token) as terminal:
        statuses = [terminal.post("/time-entries/bulk", json={"operations": operations}).status_code for _ in range(2)]

    assert statuses == [200, 429]


def test_an_import_counts_as_its_number_of_lines_and_a_refused_one_creates_nobody(people, as_user):
    ada, header = as_user(people.admin("Ada")), "email,first_name,last_name,role,manager_email,time_zone\n"
    rows = [f"user{number}@example.net,Ana,Silva,employee,,\n" for number in range(2 * QUOTA)]
    csv = {"Content-Type": "text/csv"}

    dry_run = ada.post("/admin/users/import", content=header + rows[0], headers=csv, params={"dry_run": True})
    refused = ada.post("/admin/users/import", content=header + "".join(rows), headers=csv)
    users = ada.get("/admin/users")

    assert (dry_run.status_code, refused.status_code, refused.json()["code"]) == (200, 429, "too_many_requests")
    assert len(users.json()) == 1


def test_all_login_sessions_of_a_user_share_one_limit_and_all_api_tokens_another_one(people, server, as_user):
    ana_herself, bob = people.employee("Ana"), as_user(people.employee("Bob"))
    sessions = [server.token(ana_herself) for _ in range(QUOTA + 2)]
    api_tokens = [create_api_token(server.database, ana_herself, "entries:read").token for _ in range(QUOTA + 2)]

    answers = [[read_with(server, token) for token in tokens] for tokens in (sessions, api_tokens)]

    assert answers == [[204] * QUOTA + [429] * 2] * 2
    assert bob.get("/time-entries/current").status_code == 204


def test_a_credential_that_ana_has_ended_uses_up_nothing_of_hers(people, server, as_user):
    """A thief goes on with what was stolen. Only the first request after the end counts for Ana, on each worker."""
    ana_herself = people.employee("Ana")
    stolen, me = server.token(ana_herself), as_user(ana_herself)
    api_token = create_api_token(server.database, ana_herself, "entries:read")
    me.delete("/auth/sessions")
    me.delete(f"/auth/api-tokens/{api_token.id}")

    of_the_thief = [read_with(server, token) for token in (stolen, api_token.token) for _ in range(QUOTA)]

    assert of_the_thief == [401] * 12 + [429] * 8, "two of Ana's, and ten of the network's"
    assert [read_with_caller(me) for _ in range(QUOTA - 1)] == [204] * (QUOTA - 1)


def test_a_stolen_token_that_uses_up_the_limit_does_not_keep_ana_from_ending_it(people, server, as_user):
    ana_herself = people.employee("Ana")
    stolen, me = server.token(ana_herself), as_user(ana_herself)
    api_token = create_api_token(server.database, ana_herself, "entries:read")
    for _ in range(QUOTA):
        read_with(server, stolen)
    assert read_with_caller(me) == 429

    ended = [me.delete("/auth/sessions"), me.delete(f"/auth/api-tokens/{api_token.id}")]
    changed = me.post(
        "/auth/password", json={"current_password": PASSWORD, "new_password": "another-lantern-17-harbour"}
    )

    assert [answer.status_code for answer in ended] == [204, 204]
    assert changed.status_code == 200
    with server.caller(changed.json()["access_token"]) as new_session:
        assert new_session.post("/auth/logout").status_code == 204


def read_with_caller(caller):
    return caller.get("/time-entries/current").status_code


def read_with(server, token):
    with server.caller(token) as caller:
        return read_with_caller(caller)


def test_another_spelling_of_a_token_is_refused_and_not_counted(people, server):
    """base64 decoding ignores characters after the signature."""
    token = server.token(people.employee("Ana"))

    with httpx.Client(base_url=server.base_url) as client:
        codes = [
            client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}{'!!!!' * number}"}).status_code
            for number in range(QUOTA + 1)
        ]

    assert codes == [200] + [401] * QUOTA


def test_nobody_can_use_up_what_is_somebody_elses(people, server, as_user):
    ana = people.employee("Ana")
    forged = server.token(ana).rpartition(".")[0] + ".AAAA"

    with server.caller(forged) as mallory:
        guesses = [mallory.get("/auth/me").status_code for _ in range(QUOTA + 5)]

    assert set(guesses) == {401}
    assert as_user(ana).get("/auth/me").status_code == 200


def test_the_health_checks_and_the_login_are_not_counted(people, anonymous):
    people.employee("Ana")

    codes = [anonymous.at_root("GET", "/health/live").status_code for _ in range(QUOTA + 5)]

    assert set(codes) == {200}


def test_changes_that_fill_the_audit_log_are_rejected_in_all_sessions_of_the_user_and_for_nobody_else(db_url):
    """A change of a description of 8 KB writes an event of 16 KB, so 1 MiB is used up by 64 changes."""
    with run_server(settings_for(db_url, MAX_AUDIT_MIB_PER_HOUR=1)) as server:
        company = Company(server.database)
        ana, bob, website = company.employee("Ana"), company.employee("Bob"), company.project("Website")
        with server.caller(server.token(ana)) as caller:
            entry = caller.post("/time-entries", json=hour_entry(website, 0)).json()["id"]
            descriptions = (f"{number:10}" + "\N{RED APPLE}" * 1990 for number in range(80))
            changes = [{"description": description, "reason": "More"} for description in descriptions]
            statuses = [caller.patch(f"/time-entries/{entry}", json=change).status_code for change in changes]
            seconds = int(caller.delete(f"/time-entries/{entry}?reason=Enough").headers["Retry-After"])
        with server.caller(server.token(ana)) as another_session:
            refused = another_session.post("/time-entries", json=hour_entry(website, 1))
            read = another_session.get("/time-entries")
            form = {"username": ana.email, "password": PASSWORD}
            logged_in = another_session.post("/auth/login", data=form, headers={"Authorization": ""})
            logged_out = another_session.post("/auth/logout")
        with server.caller(server.token(bob)) as other:
            of_bob = other.post("/time-entries", json=hour_entry(website, 1))

    assert statuses == [200] * statuses.count(200) + [429] * statuses.count(429)
    assert 60 <= statuses.count(200) <= 68
    assert 1 <= seconds <= 120
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_changes")
    assert refused.headers["RateLimit-Policy"] == '"written-bytes";q=1048576;w=3600'
    assert (read.status_code, logged_out.status_code, of_bob.status_code) == (200, 204, 201)
    assert logged_in.status_code == 200, "logins have a quota of their own"


@pytest.mark.parametrize("used_up", WriteKind)
def test_each_kind_of_write_has_a_quota_of_its_own(people, server, as_user, used_up):
    ana, website = people.employee("Ana"), people.project("Website")
    terminal_token = create_api_token(server.database, ana, "entries:write").token
    form = {"username": ana.email, "password": PASSWORD}
    new_password = {"current_password": PASSWORD, "new_password": "another-lantern-17-harbour"}
    server.app.state.runtime.write_limiter.charge((ana.id, used_up), 10 * MIB, at=monotonic_seconds())

    with server.caller(terminal_token) as terminal, as_user(ana) as me:
        answers = {
            WriteKind.api_tokens: terminal.clock_in(website.id),
            WriteKind.punches: me.post("/time-entries/clock-in?switch=true", json={"project_id": website.id}),
            WriteKind.changes: me.patch("/auth/me", json={"first_name": "Anna"}),
            WriteKind.logins: me.post("/auth/login", data=form, headers={"Authorization": ""}),
            WriteKind.access: me.post("/auth/password", json=new_password),
        }

    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(WriteKind, 200) | {
        used_up: 429
    }


def test_what_an_api_token_writes_uses_up_the_quota_of_api_tokens(people, server):
    """The quota is empty, but not overdrawn. An event of 8 KB overdraws it by more than it grows meanwhile."""
    ana, website = people.employee("Ana"), people.project("Website")
    limiter = server.app.state.runtime.write_limiter
    limiter.charge((ana.id, WriteKind.api_tokens), limiter.policy.quota, at=monotonic_seconds())
    bodies = [hour_entry(website, number, description="\N{RED APPLE}" * 2000) for number in range(2)]

    with server.caller(create_api_token(server.database, ana, "entries:write").token) as terminal:
        statuses = [terminal.post("/time-entries", json=body).status_code for body in bodies]

    assert statuses == [201, 429]
