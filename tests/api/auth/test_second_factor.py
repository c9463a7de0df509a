"""The second factor: enrollment, login, reuse of codes, loss, removal, and roles that require it."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pyotp
import pytest

from app.core.security.encryption import DecryptionFailed, SecretBox
from app.core.time.clock import utc_now
from app.models.tables import RECOVERY_CODE, SECOND_FACTOR
from app.services.auth import second_factor
from app.services.auth.errors import SecondFactorUnreadable
from tests.support.credentials import Authenticator, create_second_factor
from tests.support.databases import settings_for
from tests.support.factories import PASSWORD, instant
from tests.support.in_process_server import run_server

NINE = instant("2026-03-02 09:00")


@pytest.fixture
def ana(people):
    return people.employee("Ana")


@pytest.fixture
def phone(people, ana, db_url, request):
    """An authenticator that Ana has enrolled."""
    fixture = "server" if "server" in request.fixturenames else "database"
    service = request.getfixturevalue(fixture)
    return create_second_factor(getattr(service, "database", service), ana)


def log_in(caller, **others):
    return caller.post("/auth/login", data={"username": "ana@example.com", "password": PASSWORD} | others)


# Enrollment


def test_a_second_factor_counts_once_a_code_of_it_was_seen(ana, as_user, anonymous):
    me = as_user(ana)
    enrollment = me.post("/auth/totp").json()
    app = Authenticator(enrollment["secret"], [])
    assert log_in(anonymous).status_code == 200, "begun is not enrolled"

    confirmed = me.post("/auth/totp/confirm", json={"code": app.code()})

    codes = confirmed.json()["recovery_codes"]
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[a-z2-7]{7}(-[a-z2-7]{7}){3}", code) for code in codes)
    assert me.get("/auth/me").json()["has_second_factor"]
    assert me.get("/auth/totp").json()["recovery_codes_left"] == 10
    assert log_in(anonymous).json()["code"] == "otp_required"


def test_an_enrollment_says_all_that_an_authenticator_needs(ana, as_user):
    enrollment = as_user(ana).post("/auth/totp").json()

    read = pyotp.parse_uri(enrollment["otpauth_uri"])
    assert (read.secret, read.name, read.issuer) == (enrollment["secret"], "ana@example.com", "Time Tracking")
    assert len(read.secret) >= 32, "160 bits (RFC 4226, section 4)"
    assert ElementTree.fromstring(enrollment["qr_svg"]).tag.endswith("svg")


def test_a_wrong_code_confirms_nothing(ana, as_user):
    me = as_user(ana)
    app = Authenticator(me.post("/auth/totp").json()["secret"], [])

    refused = me.post("/auth/totp/confirm", json={"code": app.code(steps=100)})

    assert (refused.status_code, refused.json()["code"]) == (403, "invalid_code")
    assert not me.get("/auth/me").json()["has_second_factor"]


def test_an_enrollment_that_is_begun_again_has_a_new_secret(ana, as_user):
    me = as_user(ana)
    first, second = (Authenticator(me.post("/auth/totp").json()["secret"], []) for _ in range(2))

    assert me.post("/auth/totp/confirm", json={"code": first.code()}).status_code == 403
    assert me.post("/auth/totp/confirm", json={"code": second.code()}).status_code == 200


def test_there_is_one_second_factor_at_most(ana, phone, as_user):
    """Otherwise, a thief of a login session could replace the owner's phone by their own."""
    me = as_user(ana)

    answers = [me.post("/auth/totp"), me.post("/auth/totp/confirm", json={"code": phone.code()})]

    assert [answer.json()["code"] for answer in answers] == ["second_factor_exists"] * 2


def test_nothing_is_confirmed_that_was_not_begun(ana, as_user):
    assert as_user(ana).post("/auth/totp/confirm", json={"code": "123456"}).json()["code"] == "enrollment_not_started"


# Logging in


def test_a_login_takes_the_password_and_the_code(phone, anonymous):
    first = log_in(anonymous)

    assert (first.status_code, first.json()["code"]) == (401, "otp_required")
    assert log_in(anonymous, otp=phone.code()).status_code == 200


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_phone_whose_clock_is_half_a_minute_off_still_works(phone, anonymous, steps):
    assert log_in(anonymous, otp=phone.code(steps=steps)).status_code == 200


@pytest.mark.parametrize("otp", ["000000", "12345", "1234567", "abcdef", "one-time", "\uff11" * 6])
def test_a_wrong_code_is_refused(phone, anonymous, otp):
    refused = log_in(anonymous, otp=otp)

    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_otp")


def test_codes_of_other_minutes_are_refused(phone, anonymous):
    assert [log_in(anonymous, otp=phone.code(steps=steps)).status_code for steps in (-10, 10)] == [401, 401]


def test_a_code_with_a_blank_in_the_middle_as_apps_show_it_is_right(phone, anonymous):
    code = phone.code()

    assert log_in(anonymous, otp=f"{code[:3]} {code[3:]}").status_code == 200


def test_without_the_right_password_the_code_is_not_asked_for(phone, anonymous):
    """Otherwise, anybody could find out which users have a second factor."""
    wrong = [log_in(anonymous, password="wrong-lantern-42-harbour", otp=otp) for otp in ("", phone.code())]

    assert [answer.json()["code"] for answer in wrong] == ["invalid_credentials"] * 2


def test_no_code_works_twice(database, ana, phone):
    """A code of an earlier step than the last accepted one is rejected too (RFC 6238, section 5.2)."""

    def accepts(steps, *, at=NINE):
        with database.write_transaction() as session:
            return second_factor.verify_code(session, ana.id, phone.code(at=NINE, steps=steps), at=at)

    reset_last_step(database)
    assert [accepts(0), accepts(0), accepts(-1), accepts(1), accepts(1)] == [True, False, False, True, False]


def test_a_guesser_of_codes_is_stopped_like_a_guesser_of_passwords(phone, anonymous):
    answers = [log_in(anonymous, otp=f"{number:06}") for number in range(11)]

    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert answers[10].json()["code"] == "login_limit_reached"


# Recovery codes


def test_each_recovery_code_works_once(phone, anonymous):
    code = phone.recovery_codes[3]

    assert [log_in(anonymous, otp=code).status_code for _ in range(2)] == [200, 401]
    assert log_in(anonymous, otp=phone.recovery_codes[4].upper().replace("-", " ")).status_code == 200


def test_what_is_stored_of_secret_and_codes_is_of_no_use_to_a_thief(database, ana, phone):
    with database.read_transaction() as session:
        stored = repr(session.execute(SECOND_FACTOR.select()).all() + session.execute(RECOVERY_CODE.select()).all())

    secrets = [phone.secret, *phone.recovery_codes, *(code.replace("-", "") for code in phone.recovery_codes)]
    assert not [secret for secret in secrets if secret in stored]


def test_a_secret_copied_to_another_person_does_not_open(people, database, ana, phone):
    bob = people.employee("Bob")
    with database.write_transaction() as session:
        row = session.execute(SECOND_FACTOR.select()).one()
        session.execute(SECOND_FACTOR.insert().values(dict(row._mapping) | {"user_id": bob.id}))

    with pytest.raises(SecondFactorUnreadable), database.write_transaction() as session:
        second_factor.verify_code(session, bob.id, phone.code(), at=utc_now())


def test_a_former_key_still_opens_what_it_sealed():
    old, new = "a key of last year, 32 characters", "a key of this year, 32 characters"
    ciphertext = SecretBox(old).encrypt("JBSWY3DPEHPK3PXP", owner_id=7)

    assert SecretBox(new, old).decrypt(ciphertext, owner_id=7) == "JBSWY3DPEHPK3PXP"
    assert SecretBox(new).encrypt("JBSWY3DPEHPK3PXP", owner_id=7) != ciphertext
    with pytest.raises(DecryptionFailed, match="TOTP_KEY"):
        SecretBox(new).decrypt(ciphertext, owner_id=7)


def test_with_another_key_recovery_codes_still_let_people_in(phone, db_url):
    """The secrets cannot be decrypted, and the error names the setting for the operator."""
    settings = settings_for(db_url, TOTP_KEY="of-another-machine-with-32-characters")
    with run_server(settings) as server, server.caller() as anonymous:
        unread, recovered = log_in(anonymous, otp=phone.code()), log_in(anonymous, otp=phone.recovery_codes[0])

    assert (unread.status_code, unread.json()["code"]) == (503, "second_factor_unreadable")
    assert "TOTP_KEY" in unread.json()["detail"]
    assert recovered.status_code == 200


# Removal


def test_a_second_factor_is_removed_with_password_and_code(ana, phone, as_user, anonymous):
    me = as_user(ana)
    wrong = [
        me.request("DELETE", "/auth/totp", json={"password": "wrong-lantern-42", "code": phone.code()}),
        me.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": "000000"}),
    ]
    assert [answer.json()["code"] for answer in wrong] == ["invalid_password", "invalid_code"]

    done = me.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": phone.code()})

    assert done.status_code == 204
    assert me.get("/auth/totp").json() == {"confirmed_at": None, "recovery_codes_left": 0, "wrong_codes": 0}
    assert log_in(anonymous).status_code == 200


def test_a_thief_with_session_and_password_guesses_no_faster_than_at_a_login(ana, phone, as_user):
    thief = as_user(ana)

    answers = [
        thief.request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": f"{number:06}"})
        for number in range(11)
    ]

    assert [answer.status_code for answer in answers] == [403] * 10 + [429]


def test_who_has_no_second_factor_has_none_to_remove(ana, as_user):
    refused = as_user(ana).request("DELETE", "/auth/totp", json={"password": PASSWORD, "code": "123456"})

    assert (refused.status_code, refused.json()["code"]) == (409, "no_second_factor")


def test_an_admin_takes_it_away_from_who_lost_phone_and_codes(people, ana, phone, as_user, anonymous):
    admin = as_user(people.admin("Ada"))

    answers = [admin.delete(f"/admin/users/{ana.id}/totp") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 409]
    assert log_in(anonymous).status_code == 200


# Required


def test_who_needs_a_second_factor_can_do_nothing_before_they_enrol_one(people, db_url):
    ada = people.admin("Ada")
    with (
        run_server(settings_for(db_url, REQUIRE_TOTP_ROLES=["admin"])) as server,
        server.caller(server.token(ada)) as me,
    ):
        refused = me.get("/admin/users")
        app = Authenticator(me.post("/auth/totp").json()["secret"], [])
        me.post("/auth/totp/confirm", json={"code": app.code()})

        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
        assert me.get("/admin/users").status_code == 200


def test_a_role_that_needs_none_goes_on_without(ana, db_url):
    with (
        run_server(settings_for(db_url, REQUIRE_TOTP_ROLES=["admin"])) as server,
        server.caller(server.token(ana)) as me,
    ):
        assert me.get("/time-entries/current").status_code == 204


def test_who_becomes_an_admin_needs_it_from_the_next_request_on(people, ana, db_url):
    ada = people.admin("Ada")
    with run_server(settings_for(db_url, REQUIRE_TOTP_ROLES=["admin"])) as server:
        create_second_factor(server.database, ada)
        with server.caller(server.token(ana)) as me, server.caller(server.token(ada)) as admin:
            admin.patch(f"/admin/users/{ana.id}", json={"role": "admin"})

            assert me.get("/time-entries/current").json()["code"] == "second_factor_required"


def reset_last_step(database):
    """Forget the last accepted step, so that a test can use codes of nine o'clock."""
    with database.write_transaction() as session:
        session.execute(SECOND_FACTOR.update().values(last_step=0))


def test_yesterdays_code_is_not_todays(database, ana, phone):
    with database.write_transaction() as session:
        code = phone.code(at=utc_now() - timedelta(days=1))
        assert not second_factor.verify_code(session, ana.id, code, at=utc_now())
