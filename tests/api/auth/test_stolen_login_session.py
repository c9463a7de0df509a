"""A thief with Ana's login session uses up what her changes may write. Ana ends it, and punches at once (threats 5)."""

import pytest

from tests.api.auth.test_stolen_api_token import NEW_PASSWORD, fill_the_audit_log, log_in
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, Company
from tests.support.in_process_server import run_server


@pytest.fixture
def server(db_url):
    with run_server(settings_for(db_url, MAX_AUDIT_MIB_PER_HOUR=1)) as started:
        yield started


@pytest.fixture
def people(server):
    return Company(server.database)


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
