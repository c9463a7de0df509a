"""Revocation on all workers and across a restart, and parallel use of one login session or account.

Covers threats 5, 12 and 13.
"""

import os
from collections import Counter
from datetime import timedelta

import pytest

from app.core.security.access_tokens import TokenSigner
from app.core.time.clock import utc_now
from app.models.tables import LOGIN_SESSION
from app.services.auth.login_sessions import IssuedSession
from tests.support.concurrency import Call, send_in_parallel, send_simultaneously
from tests.support.credentials import create_api_token, create_login_session, create_second_factor
from tests.support.factories import PASSWORD

REQUESTS = int(os.environ.get("REVOKED_REQUESTS", "320"))
"""Total number of requests with revoked tokens. Half of them are sent after the restart."""
API = "/api/v1"


@pytest.fixture
def sign(database):
    signer = TokenSigner(database.settings)
    return lambda login_session: signer.sign(login_session.user_id, login_session.session_id, at=utc_now())


def header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_no_worker_takes_a_revoked_token_before_or_after_a_restart(people, database, own_workers, bearer, sign):
    """Threats 5. The tokens are revoked in different ways."""
    url = f"{own_workers.base_url}{API}"
    staff = {name: people.employee(name) for name in ("Ana", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hal")}
    login_session = {name: create_login_session(database, user) for name, user in staff.items()}
    tokens = {name: sign(each) for name, each in login_session.items()}
    tokens["Gil's terminal"] = create_api_token(database, staff["Gil"], "entries:read").token
    terminal = create_api_token(database, staff["Hal"], "entries:read")
    tokens["Hal's terminal"] = terminal.token
    admin, hal = bearer(people.admin("Ada")), bearer(staff["Hal"])
    eve = {"refresh_token": login_session["Eve"].refresh_token}
    before = send_simultaneously([Call("GET", f"{url}/auth/me", header(token)) for token in tokens.values()])
    ways = [
        Call("POST", f"{url}/auth/logout", header(tokens["Ana"])),
        Call("DELETE", f"{url}/auth/sessions/{login_session['Bob'].session_id}", bearer(staff["Bob"])),
        Call("POST", f"{url}/auth/password", header(tokens["Cleo"]),
             {"current_password": PASSWORD, "new_password": "another-lantern-17-harbour"}),
        Call("PUT", f"{url}/admin/users/{staff['Dan'].id}/deactivate", admin),
        Call("PUT", f"{url}/admin/users/{staff['Dan'].id}/activate", admin),
        *[Call("POST", f"{url}/auth/refresh", {}, eve)] * 2,
        Call("DELETE", f"{url}/admin/users/{staff['Finn'].id}/sessions", admin),
        Call("PUT", f"{url}/admin/users/{staff['Gil'].id}/deactivate", admin),
        Call("DELETE", f"{url}/auth/api-tokens/{terminal.id}", hal),
        Call("DELETE", f"{url}/auth/sessions", hal),
    ]  # fmt: skip
    (done,) = send_in_parallel([ways])
    reuse_refresh_token(database, login_session["Eve"], own_workers)
    guessing = [Call("GET", f"{url}/auth/me", header(token)) for token in tokens.values()]

    def guess_password():
        many_users = [guessing * (REQUESTS // 2 // len(guessing) // 16 + 1)] * 16
        return Counter(answer.status_code for client in send_in_parallel(many_users) for answer in client)

    first = guess_password()
    own_workers.stop()
    own_workers.start()
    second = guess_password()

    assert {answer.status_code for answer in before} == {200}
    assert {answer.status_code for answer in done} <= {200, 204}, [answer.content for answer in done]
    assert (first.keys(), second.keys()) == ({401}, {401})
    assert first.total() + second.total() >= REQUESTS


def test_a_session_that_all_workers_have_just_accepted_is_rejected_once_it_has_ended(people, two_workers, bearer):
    """Threats 5. A worker that caches a session, even for a second, would accept it a while longer."""
    ana, url = people.employee("Ana"), f"{two_workers.base_url}{API}/auth"
    for _ in range(5):
        login_session = bearer(ana)
        on_all_workers = [Call("GET", f"{url}/me", login_session)] * 16

        before = send_simultaneously(on_all_workers)
        ended = send_simultaneously([Call("POST", f"{url}/logout", login_session)])
        after = send_simultaneously(on_all_workers)

        statuses = [{answer.status_code for answer in answers} for answers in (before, ended, after)]
        assert statuses == [{200}, {204}, {401}]


def reuse_refresh_token(database, login_session: IssuedSession, own_workers) -> None:
    """Use a refresh token again eleven seconds after its first use."""
    with database.write_transaction() as session:
        row = LOGIN_SESSION.c.id == login_session.session_id
        session.execute(LOGIN_SESSION.update().where(row).values(refreshed_at=utc_now() - timedelta(seconds=11)))
    call = Call("POST", f"{own_workers.base_url}{API}/auth/refresh", {}, {"refresh_token": login_session.refresh_token})
    assert send_simultaneously([call])[0].status_code == 401


def test_twenty_parallel_refreshes_have_one_successor(people, database, two_workers):
    """Threats 12."""
    login_session = create_login_session(database, people.employee("Ana"))
    call = Call("POST", f"{two_workers.base_url}{API}/auth/refresh", {}, {"refresh_token": login_session.refresh_token})

    answers = send_simultaneously([call] * 20)

    assert {answer.status_code for answer in answers} == {200}
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    repeated = Call("POST", call.url, {}, {"refresh_token": successor})
    assert send_simultaneously([repeated])[0].status_code == 200


def test_of_39_parallel_guesses_ten_are_judged(people, two_workers):
    """Threats 13. Two workers accept no more attempts than one. After that the right password is rejected too."""
    people.employee("Ana")
    url = f"{two_workers.base_url}{API}/auth/login"
    guesses = [f"username=ana@example.com&password=guess-{number}-lantern" for number in range(39)]
    calls = [Call("POST", url, {}, form=guess) for guess in guesses]

    answers = send_simultaneously(calls)

    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 29}
    right = Call("POST", url, {}, form=f"username=ana@example.com&password={PASSWORD}")
    assert send_simultaneously([right])[0].status_code == 429


def test_one_code_of_an_authenticator_lets_one_of_eight_parallel_logins_in(people, database, two_workers):
    ana = people.employee("Ana")
    app = create_second_factor(database, ana)
    form = f"username=ana@example.com&password={PASSWORD}&otp={app.code()}"
    call = Call("POST", f"{two_workers.base_url}{API}/auth/login", {}, form=form)

    answers = send_simultaneously([call] * 8)

    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 7}
