"""A thief with Ana's API token or login session uses up what a user may use (threats 5). Ana ends it, and works on."""

import pytest

from tests.support.credentials import create_api_token
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server
from tests.support.times import hour_entry

REQUESTS = 10  # one more request is allowed every 6 s
NEW_PASSWORD = "another-lantern-17-harbour"


@pytest.fixture
def server(db_url):
    with run_server(settings_for(db_url, MAX_AUDIT_MIB_PER_HOUR=1)) as started:
        yield started


@pytest.fixture
def people(server):
    return Company(server.database)


def test_a_stolen_token_that_fills_the_audit_log_keeps_ana_from_nothing(people, server, as_user):
    ana, website = people.employee("Ana"), people.project("Website")
    stolen, other = (create_api_token(server.database, ana, "entries:write") for _ in range(2))
    fill_the_audit_log(server, stolen.token, website)

    with as_user(ana) as me:
        clocked_in = me.clock_in(website.id)
        revoked = me.delete(f"/auth/api-tokens/{stolen.id}")
        clocked_out = me.clock_out()
        logged_in = log_in(me, ana, PASSWORD)
        changed = me.post("/auth/password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    with server.caller(other.token) as terminal:
        of_the_terminal = terminal.clock_in(website.id)

    answers = [clocked_in, revoked, clocked_out, logged_in, changed]
    assert [answer.status_code for answer in answers] == [200, 204, 200, 200, 200]
    assert of_the_terminal.status_code == 401, "the new password has revoked it"


def test_all_api_tokens_of_ana_share_one_quota_of_the_audit_log(people, server):
    ana, website = people.employee("Ana"), people.project("Website")
    stolen, other = (create_api_token(server.database, ana, "entries:write") for _ in range(2))
    fill_the_audit_log(server, stolen.token, website)

    with server.caller(other.token) as terminal:
        refused = terminal.clock_in(website.id)

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_changes")


def test_a_stolen_token_of_an_admin_does_not_disarm_the_admin(people, server, as_user):
    ada_herself, bob, website = people.admin("Ada"), people.employee("Bob"), people.project("Website")
    stolen = create_api_token(server.database, ada_herself, "admin", "entries:write")
    fill_the_audit_log(server, stolen.token, website)
    ada = as_user(ada_herself)

    password_set = ada.put(f"/admin/users/{bob.id}/password", json={"password": NEW_PASSWORD})
    renamed = ada.patch(f"/admin/users/{bob.id}", json={"first_name": "Robert"})
    deactivated = ada.put(f"/admin/users/{bob.id}/deactivate")
    revoked = ada.delete(f"/admin/api-tokens/{stolen.id}")

    assert [answer.status_code for answer in (password_set, renamed, deactivated, revoked)] == [200, 200, 200, 204]


def test_an_admin_whose_changes_used_up_the_quota_still_ends_access(people, server, as_user):
    ada_herself, bob, website = people.admin("Ada"), people.employee("Bob"), people.project("Website")
    token = create_api_token(server.database, bob, "entries:write")
    fill_the_audit_log(server, server.token(ada_herself), website)
    with server.caller(token.token) as terminal:
        terminal.clock_in(website.id)
    server.token(bob)
    ada = as_user(ada_herself)

    refused = ada.patch(f"/admin/users/{bob.id}", json={"first_name": "Robert"})
    password_set = ada.put(f"/admin/users/{bob.id}/password", json={"password": NEW_PASSWORD, "keep_api_tokens": True})
    ended = [ada.delete(f"/admin/users/{bob.id}/sessions"), ada.delete(f"/admin/api-tokens/{token.id}")]
    deactivated = ada.put(f"/admin/users/{bob.id}/deactivate")
    logged_in = log_in(ada, ada_herself, PASSWORD)

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_changes")
    answers = [password_set, *ended, deactivated, logged_in]
    assert [answer.status_code for answer in answers] == [200, 204, 204, 200, 200]


def test_a_stolen_token_that_uses_up_the_requests_keeps_ana_from_nothing(db_url):
    with run_server(settings_for(db_url, REQUESTS_PER_MINUTE=REQUESTS)) as server:
        company = Company(server.database)
        ana, website = company.employee("Ana"), company.project("Website")
        stolen = create_api_token(server.database, ana, "entries:write")
        with server.caller(stolen.token) as thief:
            of_the_thief = [thief.clock_out().status_code for _ in range(REQUESTS + 1)]
        with server.caller(server.token(ana)) as me:
            listed = me.get("/auth/api-tokens")
            revoked = me.delete(f"/auth/api-tokens/{listed.json()[0]['id']}")
            clocked_in = me.clock_in(website.id)

    assert of_the_thief == [409] * REQUESTS + [429]
    assert [answer.status_code for answer in (listed, revoked, clocked_in)] == [200, 204, 200]


def test_changes_that_fill_the_audit_log_keep_ana_neither_from_her_account_nor_from_the_clock(people, server, as_user):
    ana = people.employee("Ana")
    website, intranet = people.project("Website"), people.project("Intranet")
    fill_the_audit_log(server, server.token(ana), website)

    with as_user(ana) as me:
        punched = [
            me.clock_in(website.id),
            me.post("/time-entries/clock-in?switch=true", json={"project_id": intranet.id}),
        ]
        punched.append(me.clock_out())
        ended = me.delete("/auth/sessions")
        changed = me.post("/auth/password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD})
        logged_in = log_in(me, ana, NEW_PASSWORD)
    with server.caller(logged_in.json()["access_token"]) as new_session:
        punched += [new_session.clock_in(website.id), new_session.clock_out()]

    assert [answer.status_code for answer in punched] == [200] * 5
    assert [answer.status_code for answer in (ended, changed, logged_in)] == [204, 200, 200]


def test_punches_that_fill_the_audit_log_keep_ana_from_the_clock_for_less_than_two_minutes(people, as_user):
    """Each of them overdraws the quota by its own events at most, and 24 KB are free again in 84 seconds."""
    ana, website = people.employee("Ana"), people.project("Website")
    long_punch = {"project_id": website.id, "description": "\N{RED APPLE}" * 2000}
    with as_user(ana) as thief:
        while (answer := thief.post("/time-entries/clock-in?switch=true", json=long_punch)).status_code == 200:
            pass

    corrected = as_user(ana).patch("/auth/me", json={"first_name": "Anna"})

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_changes")
    assert int(answer.headers["Retry-After"]) < 120
    assert corrected.status_code == 200, "punches use up nothing of other changes"


def fill_the_audit_log(server, token, website):
    """Write 1.6 MB of audit events in two requests. The quota is 1 MiB, so the next change is rejected."""
    with server.caller(token) as caller:
        for start in (0, 100):
            operations = [
                {"action": "create"} | hour_entry(website, number, description="\N{RED APPLE}" * 2000)
                for number in range(start, start + 100)
            ]
            filled = caller.post("/time-entries/bulk", json={"operations": operations})
            assert filled.status_code == 200, filled.text
        refused = caller.post("/time-entries", json=hour_entry(website, 200))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_changes")


def log_in(caller, user, password):
    form = {"username": user.email, "password": password}
    return caller.post("/auth/login", data=form, headers={"Authorization": ""})
