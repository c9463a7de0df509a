"""The second factor: one-time passwords by the clock (TOTP, RFC 6238), and ten recovery codes for a lost phone."""

import hmac
import secrets
from datetime import datetime

import pyotp
import segno
from sqlalchemy import CursorResult, delete, func, insert, select, update

from app.core.database.session import Session
from app.core.database.transactions import CallerTransactionRunner
from app.core.security.access_tokens import Claims
from app.core.security.encryption import Unsealable
from app.core.security.opaque_tokens import digest
from app.core.security.passwords import PasswordHasher
from app.models.tables import FACTOR, RECOVERY
from app.models.users import User
from app.schemas.auth.second_factor import EnrolmentRead, RecoveryCodes, SecondFactorRead, SecondFactorRemoval
from app.services.access import locks
from app.services.access.actor import Actor
from app.services.audit import recorder
from app.services.auth import passwords
from app.services.auth.errors import CodeWrong, NoSecondFactor, NotEnrolling, SecondFactorExists, SecondFactorUnreadable
from app.services.auth.passwords import Holder
from app.services.auth.sessions import Client

RECOVERY_CODES = 10
STEP_SECONDS = 30
CODE_LENGTH = 6
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"  # of base 32: 5 bits each, and nothing that looks like another


def status(session: Session, actor: Actor) -> SecondFactorRead:
    """Since when the actor has a second factor, and how many recovery codes are left."""
    since = session.execute(select(FACTOR.c.confirmed_at).where(FACTOR.c.user_id == actor.id)).scalar_one_or_none()
    left = select(func.count()).select_from(RECOVERY).where(RECOVERY.c.user_id == actor.id)
    return SecondFactorRead(confirmed_at=since, recovery_codes_left=session.execute(left).scalar_one())


def begin(session: Session, actor: Actor, *, at: datetime) -> EnrolmentRead:
    """Make a secret for the actor; it counts once `confirm` saw a code of it. Raises SecondFactorExists."""
    person = locks.lock_oneself(session, actor)
    if person.has_second_factor:
        raise SecondFactorExists("You have a second factor. Remove it first.")
    secret = pyotp.random_base32()
    sealed = session.keyring.sealer.seal(secret, owner_id=actor.id)
    session.execute(delete(FACTOR).where(FACTOR.c.user_id == actor.id))
    row = {"user_id": actor.id, "secret": sealed, "created_at": at, "confirmed_at": None, "last_step": 0}
    session.execute(insert(FACTOR).values(row))
    recorder.record(session, "second_factor:begin", at=at, actor_id=actor.id, subject_id=actor.id)
    uri = pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name=session.settings.TOTP_ISSUER)
    image = segno.make_qr(uri, error="m").svg_inline(scale=4, border=4)  # the quiet zone of ISO/IEC 18004
    return EnrolmentRead(secret=secret, otpauth_uri=uri, qr_svg=image)


def confirm(session: Session, actor: Actor, code: str, *, at: datetime) -> RecoveryCodes:
    """Turn the second factor on, for a code that shows the authenticator has it; the recovery codes, this once.

    Raises NotEnrolling, SecondFactorExists, CodeWrong.
    """
    person = locks.lock_oneself(session, actor)
    if person.has_second_factor:
        raise SecondFactorExists("You have a second factor. Remove it first.")
    if session.execute(select(FACTOR.c.user_id).where(FACTOR.c.user_id == actor.id)).first() is None:
        raise NotEnrolling("Begin with POST /api/v1/auth/totp.")
    if not _takes_step(session, actor.id, code, at=at):
        raise CodeWrong("This code is wrong. Send the one that your authenticator shows now.")
    session.execute(update(FACTOR).where(FACTOR.c.user_id == actor.id).values(confirmed_at=at))
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    session.execute(insert(RECOVERY), [{"user_id": actor.id, "code_hash": digest(_plain(each))} for each in codes])
    person.has_second_factor = True
    session.flush()
    recorder.record(
        session, "user:add_second_factor", at=at, actor_id=actor.id, subject_id=actor.id, object_id=actor.id
    )
    return RecoveryCodes(recovery_codes=codes)


async def remove_second_factor(
    tx: CallerTransactionRunner[Claims],
    hasher: PasswordHasher,
    wanted: SecondFactorRemoval,
    client: Client,
    *,
    at: datetime,
) -> None:
    """Turn the caller's second factor off. Raises TooManyLogins, and as `remove`."""
    asked = await tx.read(passwords.holder)
    matches = await hasher.verify(wanted.password, asked.password_hash)
    await tx.write(remove, asked, client, wanted.code, matches=matches, at=at)


def remove(
    session: Session, claims: Claims, asked: Holder, client: Client, code: str, *, matches: bool, at: datetime
) -> None:
    """Turn the caller's second factor off, for their password and a code; a wrong one counts as a wrong login.

    Raises LoginLimitReached, PasswordWrong, NoSecondFactor, CodeWrong.
    """
    actor, person = passwords.check_again(session, claims, asked, client, matches=matches, at=at)
    if not person.has_second_factor:
        raise NoSecondFactor("You have no second factor.")
    if not accepts(session, actor.id, code, at=at):
        passwords.count_wrong(session, asked, client, why="invalid_otp", at=at)
        raise CodeWrong("This code is wrong, or was used before. Wait for the next one.")
    _forget(session, person)
    recorder.record(
        session, "user:remove_second_factor", at=at, actor_id=actor.id, subject_id=actor.id, object_id=actor.id
    )


def reset(session: Session, actor: Actor, user_id: int, *, at: datetime) -> None:
    """Take the second factor away from somebody else who lost phone and codes, as an admin.

    Raises OwnAccount, UserNotFound, NoSecondFactor.
    """
    passwords.check_not_oneself(actor, user_id)
    (person,) = locks.lock(session, user_id)
    if not person.has_second_factor:
        raise NoSecondFactor("This person has no second factor.")
    _forget(session, person)
    recorder.record(
        session, "user:reset_second_factor", at=at, actor_id=actor.id, subject_id=user_id, object_id=user_id
    )


def accepts(session: Session, user_id: int, code: str, *, at: datetime) -> bool:
    """Whether a locked person's code is right; it is used up by that. Raises SecondFactorUnreadable."""
    if len(_plain(code)) == CODE_LENGTH:
        return _takes_step(session, user_id, code, at=at)
    return _takes_recovery_code(session, user_id, code)


def forget(session: Session, user_id: int) -> None:
    """Delete a locked person's secret and codes."""
    for table in (RECOVERY, FACTOR):
        session.execute(delete(table).where(table.c.user_id == user_id))


def _takes_step(session: Session, user_id: int, code: str, *, at: datetime) -> bool:
    """A code of this half minute, or of the one before or after, for clocks that differ; never one of a step that was
    taken before (RFC 6238, 5.2)."""
    row = session.execute(select(FACTOR.c.secret, FACTOR.c.last_step).where(FACTOR.c.user_id == user_id)).one_or_none()
    if row is None:
        return False
    try:
        totp = pyotp.TOTP(session.keyring.sealer.open(row.secret, owner_id=user_id))
    except Unsealable:
        raise SecondFactorUnreadable(
            "Log in with a recovery code, and tell your admin: is TOTP_KEY another one?"
        ) from None
    now = int(at.timestamp()) // STEP_SECONDS
    typed = _plain(code).encode()
    fitting = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), typed)]
    if not fitting or fitting[-1] <= row.last_step:
        return False
    session.execute(update(FACTOR).where(FACTOR.c.user_id == user_id).values(last_step=fitting[-1]))
    return True


def _takes_recovery_code(session: Session, user_id: int, code: str) -> bool:
    used = delete(RECOVERY).where(RECOVERY.c.user_id == user_id, RECOVERY.c.code_hash == digest(_plain(code)))
    done = session.execute(used)
    assert isinstance(done, CursorResult)
    return done.rowcount == 1


def _forget(session: Session, person: User) -> None:
    forget(session, person.id or 0)
    person.has_second_factor = False
    session.flush()


def _new_recovery_code() -> str:
    """140 random bits, as four groups of seven."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(7)) for _ in range(4))


def _plain(code: str) -> str:
    """The code without what people and authenticators put in for the eye."""
    return code.replace(" ", "").replace("-", "").lower()
