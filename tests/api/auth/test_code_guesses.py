"""Wrong codes behind a right password: they are counted for long, and lock the second factor (threats 13)."""

from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import select

from app.core.errors import DomainError
from app.core.time.clock import utc_now
from app.models.tables import FAILED_LOGIN, SECOND_FACTOR
from app.services.audit.verification import verify
from app.services.auth import second_factor
from app.services.auth.code_attempts import FORGETTING, MAX_WRONG_CODES, WARNING_AT
from tests.support.audit_asserts import AuditLog
from tests.support.concurrency import Call, send_simultaneously
from tests.support.credentials import Authenticator, create_password_link, create_second_factor
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD
from tests.support.in_process_server import run_server
from tests.support.smtp_server import run_smtp_server

ANOTHER = "another-lantern-17-harbour"


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def phone(ana, server):
    """An authenticator that Ana has enrolled."""
    return create_second_factor(server.database, ana)


@pytest.fixture
def log_in(anonymous):
    """Return a function that logs in as Ana, and returns an error code or "in": `log_in(phone.code())`."""
    return lambda otp, password=PASSWORD: send_login(anonymous, otp, password)


@pytest.fixture
def guess(ana, phone, server):
    """Return a function that lets an attacker try wrong codes with Ana's password on earlier days: `guess(19)`."""

    def send(times):
        with server.database.write_transaction() as session:
            for _ in range(times):
                second_factor.verify_code(session, ana.id, "no-code", at=utc_now() - timedelta(days=1))

    return send


def send_login(caller, otp, password=PASSWORD, **options):
    form = {"username": "ana@example.com", "password": password, "otp": otp}
    return caller.post("/auth/login", data=form, **options).json().get("code", "in")


def use_code(server, user, code, *, at):
    """Send a code behind a right password at an instant. Returns "right", "wrong" or an error code."""
    try:
        with server.database.write_transaction() as session:
            return "right" if second_factor.verify_code(session, user.id, code, at=at) else "wrong"
    except DomainError as error:
        return error.code


def count_wrong_codes(server, user):
    query = select(SECOND_FACTOR.c.wrong_codes).where(SECOND_FACTOR.c.user_id == user.id)
    with server.database.read_transaction() as session:
        return session.execute(query).scalar_one()


def next_day(database):
    """Forget the failed logins, which the limits count for an hour at most."""
    with database.write_transaction() as session:
        session.execute(FAILED_LOGIN.delete())


def test_twenty_wrong_codes_lock_the_second_factor_for_right_codes_too(phone, log_in, server):
    for number in range(MAX_WRONG_CODES):
        assert log_in("no-code" if number % 2 else "no-recovery-code") == "invalid_otp"
        next_day(server.database)

    assert [log_in(code) for code in ("no-code", phone.code(), phone.recovery_codes[0])] == ["second_factor_locked"] * 3


def test_a_login_of_the_owner_does_not_reset_the_count(phone, guess, log_in):
    """Otherwise, an attacker could guess 19 codes after each of Ana's logins."""
    guess(19)
    assert log_in(phone.code()) == "in"
    guess(1)

    assert log_in(phone.recovery_codes[0]) == "second_factor_locked"


def test_typing_errors_of_years_do_not_lock_the_second_factor(ana, phone, server):
    """Ana mistypes a code every two weeks."""
    for number in range(1, 60):
        at = utc_now() + number * FORGETTING
        assert use_code(server, ana, "no-code", at=at) == "wrong"
        assert use_code(server, ana, phone.code(at=at), at=at) == "right"


def test_an_attacker_gets_one_more_guess_in_two_weeks(ana, phone, server):
    """Ana logs in every day. The attacker guesses as often as it does not lock the second factor."""
    guesses, days = 0, 75
    for day in range(days):
        at = utc_now() + timedelta(days=day)
        assert use_code(server, ana, phone.code(at=at), at=at) == "right"
        while count_wrong_codes(server, ana) < MAX_WRONG_CODES - 1:
            guesses += use_code(server, ana, "no-code", at=at) == "wrong"

    assert guesses == MAX_WRONG_CODES - 1 + timedelta(days=days) // FORGETTING


def test_time_unlocks_nothing(ana, phone, guess, server):
    guess(MAX_WRONG_CODES)
    at = utc_now() + 100 * FORGETTING

    assert use_code(server, ana, phone.code(at=at), at=at) == "second_factor_locked"


def test_the_lock_tells_nothing_without_the_right_password(phone, guess, log_in):
    guess(MAX_WRONG_CODES)

    assert [log_in(otp, "wrong-lantern-42-harbour") for otp in ("no-code", phone.code())] == ["invalid_credentials"] * 2


def test_wrong_codes_at_the_removal_count_too(ana, phone, guess, as_user, log_in):
    me = as_user(ana)

    guess(MAX_WRONG_CODES - 1)
    wrong, refused = (
        me.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": code}) for code in ("000", phone.code())
    )

    assert wrong.json()["code"] == "invalid_code"
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_locked")
    assert log_in(phone.code()) == "second_factor_locked"


def test_login_sessions_go_on_and_show_the_count(ana, phone, guess, as_user):
    me = as_user(ana)
    guess(MAX_WRONG_CODES)

    assert me.get("/auth/totp").json()["wrong_codes"] == MAX_WRONG_CODES


def test_a_password_link_unlocks_it(ana, phone, guess, log_in, anonymous, server):
    guess(MAX_WRONG_CODES)
    link = create_password_link(server.database, ana)
    assert anonymous.post("/auth/password/set", json={"token": link, "new_password": ANOTHER}).status_code == 204

    assert log_in(phone.code(), ANOTHER) == "in"


def test_the_operator_unlocks_the_only_admin_with_a_link(ana, phone, guess, log_in, anonymous, run_command):
    guess(MAX_WRONG_CODES)
    printed = run_command("create-password-link", str(ana.id)).stdout
    link = printed.splitlines()[0].rpartition(" ")[2]
    assert anonymous.post("/auth/password/set", json={"token": link, "new_password": ANOTHER}).status_code == 204

    assert log_in(phone.code(), ANOTHER) == "in"
    assert run_command("verify-audit").exit_code == 0


def test_a_password_from_an_admin_unlocks_it(ana, people, phone, guess, log_in, as_user):
    guess(MAX_WRONG_CODES)
    as_user(people.admin("Ada")).put(f"/admin/users/{ana.id}/password", json={"password": ANOTHER})

    assert log_in(phone.code(), ANOTHER) == "in"


def test_a_password_that_the_user_changes_does_not_unlock_it(ana, phone, guess, log_in, as_user):
    """A thief with a login session and the password could otherwise go on guessing."""
    guess(MAX_WRONG_CODES)
    changed = as_user(ana).post("/auth/password", json={"current_password": PASSWORD, "new_password": ANOTHER})

    assert changed.status_code == 200
    assert log_in(phone.code(), ANOTHER) == "second_factor_locked"


def test_ana_starts_at_zero_when_she_enrolls_again(ana, phone, guess, as_user):
    me = as_user(ana)
    guess(7)
    me.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": phone.code()})
    assert me.get("/auth/totp").json()["wrong_codes"] == 0

    me.post("/auth/totp")

    assert me.get("/auth/totp").json()["wrong_codes"] == 0


def test_the_lock_is_on_record_once(ana, guess, log_in, server, run_command):
    guess(MAX_WRONG_CODES - 1)
    audit_log = AuditLog(server.database)
    for _ in range(3):
        log_in("no-code")
        server.wait_for_background()

    events = audit_log.new_events()

    assert [(event.action, event.subject_id) for event in events] == [
        ("second_factor:lock", ana.id), ("login:refuse", ana.id)
    ]  # fmt: skip
    assert events[0].after == {"wrong_codes": MAX_WRONG_CODES}
    assert run_command("verify-audit").exit_code == 0


def test_ana_gets_an_email_at_five_and_at_twenty_wrong_codes(people, database, db_url):
    create_second_factor(database, people.employee("Ana"))
    with run_smtp_server() as mailbox:
        settings = settings_for(db_url, **mailbox.settings())
        with run_server(settings) as server, server.caller() as anonymous:
            sent = []
            for _ in range(MAX_WRONG_CODES + 2):
                send_login(anonymous, "no-code")
                server.wait_for_background()
                next_day(database)
                sent.append(len(mailbox.messages))
    first, last = mailbox.messages

    assert [sent.index(number) + 1 for number in (1, 2)] == [WARNING_AT, MAX_WRONG_CODES]
    assert [first["To"], last["To"]] == ["ana@example.com"] * 2
    assert [first["Subject"], last["Subject"]] == [
        "Wrong one-time codes for your account", "Your second factor is locked",
    ]  # fmt: skip
    assert "somebody knows your password" in first.get_content()
    assert "password link" in last.get_content()


def test_a_mail_server_that_is_down_changes_no_response(people, database, db_url):
    create_second_factor(database, people.employee("Ana"))
    with run_smtp_server() as mailbox:
        settings = mailbox.settings()
    with run_server(settings_for(db_url, **settings)) as server, server.caller() as anonymous:
        assert [send_login(anonymous, "no-code") for _ in range(WARNING_AT)] == ["invalid_otp"] * WARNING_AT


@pytest.mark.high_volume
def test_of_fifty_parallel_guesses_twenty_are_checked(people, database, db_url, run_command):
    """Each comes from another address, so no limit of an address stops them."""
    ana = people.employee("Ana")
    phone, numbers = create_second_factor(database, ana), count(1)
    with run_server(settings_for(db_url, TRUSTED_PROXIES=["127.0.0.0/8"])) as server:
        url, form = f"{server.base_url}/api/v1/auth/login", f"username=ana%40example.com&password={PASSWORD}&otp="

        def call(otp):
            return Call("POST", url, {"X-Forwarded-For": f"203.0.113.{next(numbers)}"}, form=f"{form}{otp}")

        answers = send_simultaneously([call("no-code") for _ in range(50)])
        (after,) = send_simultaneously([call(phone.code())])
        server.wait_for_background()

    codes = [answer.json()["code"] for answer in answers]
    assert (codes.count("invalid_otp"), codes.count("second_factor_locked")) == (MAX_WRONG_CODES, 30)
    assert after.json()["code"] == "second_factor_locked"
    assert run_command("verify-audit").exit_code == 0


def test_ten_wrong_codes_discard_an_enrollment(ana, server, as_user):
    """A thief of a login session meets the enrollment that Ana has begun, without its secret (threats 13)."""
    me, audit_log = as_user(ana), AuditLog(server.database)
    app = Authenticator(me.post("/auth/totp").json()["secret"], [])

    codes = [confirm(me, app.code(steps=100 + number)) for number in range(10)]

    assert codes == ["invalid_code"] * 9 + ["enrollment_discarded"]
    assert confirm(me, app.code()) == "enrollment_not_started"
    assert not me.get("/auth/me").json()["has_second_factor"]
    events = [(event.action, event.actor_id) for event in audit_log.new_events()]
    assert events == [("second_factor:begin", ana.id), ("second_factor:discard", ana.id)]
    with server.database.read_transaction() as session:
        verify(session, (), on_progress=lambda done, total: None)


def test_a_discarded_enrollment_is_begun_again_and_the_count_starts_at_zero(ana, as_user):
    me = as_user(ana)
    for _ in range(2):
        app = Authenticator(me.post("/auth/totp").json()["secret"], [])
        assert {confirm(me, app.code(steps=100)) for _ in range(9)} == {"invalid_code"}
    assert me.get("/auth/totp").json()["wrong_codes"] == 9

    assert confirm(me, app.code()) == "confirmed"

    assert me.get("/auth/totp").json()["wrong_codes"] == 0


def confirm(caller, code):
    """Send a code for the enrollment. Return the error code or "confirmed"."""
    return caller.post("/auth/totp/confirm", json={"code": code}).json().get("code", "confirmed")
