"""The second factor: time-based one-time codes (TOTP, RFC 6238), and ten recovery codes for a lost phone."""

import hmac
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

import pyotp
import segno
from sqlalchemy import CursorResult, delete, func, insert, select, update

from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.security.access_tokens import Claims
from app.core.security.encryption import DecryptionFailed
from app.core.security.opaque_tokens import digest
from app.core.security.passwords import PasswordHasher
from app.models.tables import RECOVERY_CODE, SECOND_FACTOR
from app.models.users import User
from app.schemas.auth.second_factor import (
    RecoveryCodes,
    SecondFactorEnrollment,
    SecondFactorRead,
    SecondFactorRemoval,
    SecondFactorStart,
)
from app.services.access.actor import Actor, UserRow
from app.services.access.api_token_limits import lock_for_change
from app.services.audit import recorder
from app.services.auth import code_attempts, login_throttle, refused_logins
from app.services.auth.errors import (
    CodeWrong,
    EnrollmentDiscarded,
    NoSecondFactor,
    NotEnrolling,
    SecondFactorExists,
    SecondFactorUnreadable,
)
from app.services.auth.login_sessions import Client
from app.services.auth.passwords import check_may_change_login
from app.services.auth.reauthentication import (
    PasswordCheck,
    check_password,
    reauthenticate,
    reauthenticate_unless_recent,
)

RECOVERY_CODE_COUNT = 10
STEP_SECONDS = 30
CODE_LENGTH = 6
_CHECKED_SECRETS = 100
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # base 32 (RFC 4648): 5 bits each, no 0 or 1


def get_status(session: Session, actor: Actor) -> SecondFactorRead:
    """Return when the actor's second factor was confirmed, the unused recovery codes, and the wrong codes so far."""
    query = select(SECOND_FACTOR.c.confirmed_at, SECOND_FACTOR.c.wrong_codes)
    row = session.execute(query.where(SECOND_FACTOR.c.user_id == actor.id)).one_or_none()
    confirmed_at, wrong_codes = row or (None, 0)
    remaining = select(func.count()).select_from(RECOVERY_CODE).where(RECOVERY_CODE.c.user_id == actor.id)
    return SecondFactorRead(
        confirmed_at=confirmed_at,
        recovery_codes_left=session.execute(remaining).scalar_one(),
        wrong_codes=wrong_codes,
    )


async def start_enrollment(
    tx: CallerTransactionRunner[Claims],
    hasher: PasswordHasher,
    data: SecondFactorStart,
    client: Client,
    *,
    at: datetime,
) -> SecondFactorEnrollment:
    """Create a TOTP secret for the caller. Raises LoginQueueFull, and the errors of `enroll`."""
    check = await check_password(tx, hasher, data.current_password, client)
    return await tx.write(enroll, check, at=at)


def enroll(session: Session, claims: Claims, check: PasswordCheck, *, at: datetime) -> SecondFactorEnrollment:
    """Create a TOTP secret for the caller. The second factor is active after `confirm`.

    Raises SecondFactorExists, and the errors of `reauthenticate_unless_recent`.
    """
    actor, user = reauthenticate_unless_recent(session, claims, check, at=at)
    return create_secret(session, actor, user, at=at)


def create_secret(session: Session, actor: Actor, user: User, *, at: datetime) -> SecondFactorEnrollment:
    """Create a TOTP secret for the actor, whose row is locked. Raises SecondFactorExists."""
    if user.has_second_factor:
        raise SecondFactorExists("You already have a second factor. Remove it first.")
    secret = pyotp.random_base32()
    ciphertext = session.keyring.secret_box.encrypt(secret, owner_id=actor.id)
    session.execute(delete(SECOND_FACTOR).where(SECOND_FACTOR.c.user_id == actor.id))
    row = {"user_id": actor.id, "secret": ciphertext, "created_at": at, "confirmed_at": None, "last_step": 0}
    session.execute(insert(SECOND_FACTOR).values(row))
    secrets_of_row = {"secret": ciphertext}
    recorder.record(
        session, "second_factor:begin", at=at, actor_id=actor.id, subject_id=actor.id, secrets=secrets_of_row
    )
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=session.settings.TOTP_ISSUER)
    image = segno.make_qr(uri, error="m").svg_inline(scale=4, border=4)  # quiet zone as in ISO/IEC 18004
    return SecondFactorEnrollment(secret=secret, otpauth_uri=uri, qr_svg=image)


def confirm(session: Session, actor: Actor, code: str, *, at: datetime) -> RecoveryCodes:
    """Turn on the second factor if the code is right, and return the recovery codes. They cannot be read again.

    Raises NotEnrolling, SecondFactorExists, CodeWrong, EnrollmentDiscarded.
    """
    user = session.get_one(User, actor.id)
    if user.has_second_factor:
        raise SecondFactorExists("You already have a second factor. Remove it first.")
    if session.execute(select(SECOND_FACTOR.c.user_id).where(SECOND_FACTOR.c.user_id == actor.id)).first() is None:
        raise NotEnrolling("You have not started an enrollment. Call POST /api/v1/auth/totp first.")
    if not _use_totp_code(session, actor.id, code, at=at):
        _reject_enrollment_code(session, actor, at=at)
    confirmed = {"confirmed_at": at, "wrong_codes": 0}
    session.execute(update(SECOND_FACTOR).where(SECOND_FACTOR.c.user_id == actor.id).values(confirmed))
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODE_COUNT)]
    hashes = [digest(_normalize(each)) for each in codes]
    session.execute(insert(RECOVERY_CODE), [{"user_id": actor.id, "code_hash": each} for each in hashes])
    user.has_second_factor = True
    session.flush()
    recorder.record(
        session,
        "user:add_second_factor",
        at=at,
        actor_id=actor.id,
        subject_id=actor.id,
        object_id=actor.id,
        secrets={"code_hash": hashes},
    )
    return RecoveryCodes(recovery_codes=codes)


def _reject_enrollment_code(session: Session, actor: Actor, *, at: datetime) -> NoReturn:
    """Count a wrong code. Raises CodeWrong, or after MAX_ENROLLMENT_CODES EnrollmentDiscarded."""
    if code_attempts.count_enrollment_code(session, actor.id) < code_attempts.MAX_ENROLLMENT_CODES:
        raise CodeWrong("The code is wrong. Send the code that your authenticator app shows now.")
    delete_all(session, actor.id)
    recorder.record(session, "second_factor:discard", at=at, actor_id=actor.id, subject_id=actor.id)
    raise EnrollmentDiscarded("Too many wrong codes. Start again: POST /api/v1/auth/totp.")


async def remove_second_factor(
    tx: CallerTransactionRunner[Claims],
    hasher: PasswordHasher,
    data: SecondFactorRemoval,
    client: Client,
    *,
    at: datetime,
) -> None:
    """Turn off the caller's second factor. Raises LoginQueueFull, and the errors of `remove`."""
    check = await check_password(tx, hasher, data.password, client)
    await tx.write(remove, check, data.code, at=at)


def remove(session: Session, claims: Claims, check: PasswordCheck, code: str, *, at: datetime) -> None:
    """Turn off the caller's second factor. A wrong password or code counts as a failed login.

    Raises LoginLimitReached, PasswordWrong, NoSecondFactor, CodeWrong, SecondFactorLocked.
    """
    actor, user = reauthenticate(session, claims, check, at=at)
    if not user.has_second_factor:
        raise NoSecondFactor("You have no second factor.")
    with refused_logins.count_refusal(session, actor.id, at=at):
        if not verify_code(session, actor.id, code, at=at):
            login_throttle.record_failure(session, check.holder.email, check.client.address, at=at)
            raise CodeWrong("The code is wrong or was already used. Wait for the next code.")
    _disable(session, user)
    recorder.record(
        session, "user:remove_second_factor", at=at, actor_id=actor.id, subject_id=actor.id, object_id=actor.id
    )


def reset(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """Remove the second factor of another user who lost their phone and recovery codes, as an admin.

    Raises UserNotFound, and the errors of `lock_for_change` and `check_may_reset`.
    """
    user = lock_for_change(session, actor, user_id)
    check_may_reset(actor, user)
    _disable(session, user)
    recorder.record(
        session, "user:reset_second_factor", at=at, actor_id=actor.id, subject_id=user_id, object_id=user_id
    )


def check_may_reset(actor: Actor | None, user: UserRow) -> None:
    """Raise NoSecondFactor, or the errors of `check_may_change_login`."""
    check_may_change_login(actor, user)
    if not user.has_second_factor:
        raise NoSecondFactor("This user has no second factor.")


def verify_code(session: Session, user_id: int, code: str, *, at: datetime) -> bool:
    """Return True if the one-time or recovery code of a locked user is right. A right code cannot be used again.

    The caller has verified the password. So a wrong code is counted in `code_attempts`. Raises SecondFactorLocked,
    SecondFactorUnreadable.
    """
    code_attempts.check_not_locked(session, user_id)
    if len(_normalize(code)) == CODE_LENGTH:
        is_right = _use_totp_code(session, user_id, code, at=at)
    else:
        is_right = _use_recovery_code(session, user_id, code, at=at)
    if not is_right:
        code_attempts.count_wrong_code(session, user_id, at=at)
    return is_right


def find_unreadable(session: Session) -> str | None:
    """Return a warning if none of the newest secrets can be decrypted, or None."""
    newest = select(SECOND_FACTOR.c.user_id, SECOND_FACTOR.c.secret).order_by(SECOND_FACTOR.c.created_at.desc())
    rows = session.execute(newest.limit(_CHECKED_SECRETS)).all()
    for row in rows:
        with suppress(DecryptionFailed, ValueError):  # ValueError: the row was tampered with
            session.keyring.secret_box.decrypt(row.secret, owner_id=row.user_id)
            return None
    if not rows:
        return None
    return (
        "The second factors were encrypted with another key, so one-time codes are rejected. Set the same TOTP_KEY for "
        "all servers. If it was changed, add the former TOTP_KEY, or else SECRET_KEY, to TOTP_PREVIOUS_KEYS."
    )


def delete_all(session: Session, user_id: int) -> None:
    """Delete the TOTP secret and the recovery codes of a locked user."""
    for table in (RECOVERY_CODE, SECOND_FACTOR):
        session.execute(delete(table).where(table.c.user_id == user_id))


def _use_totp_code(session: Session, user_id: int, code: str, *, at: datetime) -> bool:
    """Accept a code of the current 30-second step, or of the step before or after, because clocks differ.

    A code of an accepted step or of an earlier one is rejected (RFC 6238, section 5.2).
    """
    row = session.execute(
        select(SECOND_FACTOR.c.secret, SECOND_FACTOR.c.last_step).where(SECOND_FACTOR.c.user_id == user_id)
    ).one_or_none()
    if row is None:
        return False
    try:
        totp = pyotp.TOTP(session.keyring.secret_box.decrypt(row.secret, owner_id=user_id))
    except DecryptionFailed:
        raise SecondFactorUnreadable(
            "The stored secret cannot be decrypted. Log in with a recovery code, and ask your admin to check TOTP_KEY."
        ) from None
    current_step = int(at.timestamp()) // STEP_SECONDS
    typed = _normalize(code).encode()
    matching_steps = [
        step
        for step in (current_step - 1, current_step, current_step + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), typed)
    ]
    if not matching_steps or matching_steps[-1] <= row.last_step:
        return False
    step = matching_steps[-1]
    session.execute(update(SECOND_FACTOR).where(SECOND_FACTOR.c.user_id == user_id).values(last_step=step))
    code_attempts.forget_old(session, user_id, last_right_at=_start_of(row.last_step), at=_start_of(step))
    return True


def _start_of(step: int) -> datetime:
    return datetime.fromtimestamp(step * STEP_SECONDS, UTC)


def _use_recovery_code(session: Session, user_id: int, code: str, *, at: datetime) -> bool:
    """Delete the code if it exists. The event says which one, so that `verify-audit` finds one that SQL adds again."""
    code_hash = digest(_normalize(code))
    statement = delete(RECOVERY_CODE).where(RECOVERY_CODE.c.user_id == user_id, RECOVERY_CODE.c.code_hash == code_hash)
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    if not result.rowcount:
        return False
    secrets_of_row = {"code_hash": code_hash}
    recorder.record(session, "recovery_code:use", at=at, actor_id=user_id, subject_id=user_id, secrets=secrets_of_row)
    return True


def _disable(session: Session, user: User) -> None:
    delete_all(session, user.id or 0)
    user.has_second_factor = False
    session.flush()


def _new_recovery_code() -> str:
    """Return 140 random bits as four groups of seven characters."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(7)) for _ in range(4))


def _normalize(code: str) -> str:
    """Remove the spaces and hyphens that make a code readable."""
    return code.replace(" ", "").replace("-", "").lower()
