"""Wrong codes behind a right password, counted for each second factor.

The sender of such a code knows the password. The limits on failed logins count for an hour, so they allow 2,400 guesses
a day, and each is right with a chance of 3 in 1,000,000. Therefore MAX_WRONG_CODES wrong codes lock the second factor.
A right code does not reset the count, because the owner logs in every day, and the attacker could go on guessing. It
only forgets one wrong code in two weeks (FORGETTING). So the typing errors of many years do not add up.

The sender of a code that confirms an enrollment may be a thief of the login session, without the secret. After
MAX_ENROLLMENT_CODES wrong ones the enrollment is discarded. A right one confirms it, and the count starts at 0.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, update

from app.core.database.session import Session
from app.core.mail import Mail
from app.models.tables import SECOND_FACTOR, USER
from app.services.audit import recorder
from app.services.auth.errors import SecondFactorLocked

MAX_WRONG_CODES = 20
MAX_ENROLLMENT_CODES = 10
WARNING_AT = 5
FORGETTING = timedelta(days=14)
_UNLOCK_HINT = "Ask your admin for a password link. A password that you set through it unlocks your second factor."


def check_not_locked(session: Session, user_id: int) -> None:
    """Raise SecondFactorLocked after MAX_WRONG_CODES wrong codes. Right codes and recovery codes are refused too."""
    query = select(SECOND_FACTOR.c.wrong_codes).where(SECOND_FACTOR.c.user_id == user_id)
    if (session.execute(query).scalar_one_or_none() or 0) >= MAX_WRONG_CODES:
        raise SecondFactorLocked(f"Too many wrong codes were sent for this account. {_UNLOCK_HINT}")


def count_wrong_code(session: Session, user_id: int, *, at: datetime) -> None:
    """Count a wrong code of a locked user. At WARNING_AT and MAX_WRONG_CODES, the user gets an e-mail."""
    count = _increment(session, user_id)
    if count == MAX_WRONG_CODES:
        fields = {"wrong_codes": count}
        recorder.record(session, "second_factor:lock", at=at, actor_id=None, subject_id=user_id, after=fields)
    if count in {WARNING_AT, MAX_WRONG_CODES}:
        email: str = session.execute(select(USER.c.email).where(USER.c.id == user_id)).scalar_one()
        queued_mails(session).append(_make_warning(email, count, at=at))


def forget_old(session: Session, user_id: int, *, last_right_at: datetime, at: datetime) -> None:
    """Forget one wrong code of a locked user for each period of FORGETTING that ended between two right codes.

    The periods begin with the enrollment. So the number does not depend on how often the user logs in.
    """
    columns = (SECOND_FACTOR.c.created_at, SECOND_FACTOR.c.wrong_codes)
    row = session.execute(select(*columns).where(SECOND_FACTOR.c.user_id == user_id)).one()
    since = max(last_right_at, row.created_at)
    forgotten = (at - row.created_at) // FORGETTING - (since - row.created_at) // FORGETTING
    if forgotten > 0 and row.wrong_codes > 0:
        remaining = max(row.wrong_codes - forgotten, 0)
        session.execute(update(SECOND_FACTOR).where(SECOND_FACTOR.c.user_id == user_id).values(wrong_codes=remaining))


def count_enrollment_code(session: Session, user_id: int) -> int:
    """Count a wrong code of a locked user for the enrollment, and return the count."""
    return _increment(session, user_id) or 0


def reset(session: Session, user_id: int) -> None:
    """Reset the count of a locked user, whose new password came by a link or from an admin.

    A password that the user changes does not reset it. Otherwise a stolen login session with the password could change
    the password after every 20 guesses.
    """
    session.execute(update(SECOND_FACTOR).where(SECOND_FACTOR.c.user_id == user_id).values(wrong_codes=0))


def queued_mails(session: Session) -> list[Mail]:
    """Return the e-mails that the transaction runner sends after the commit."""
    mails: list[Mail] = session.info.setdefault("queued_mails", [])
    return mails


def _increment(session: Session, user_id: int) -> int | None:
    """Increment and return the count of wrong codes. None if the user has no second factor."""
    statement = (
        update(SECOND_FACTOR)
        .where(SECOND_FACTOR.c.user_id == user_id)
        .values(wrong_codes=SECOND_FACTOR.c.wrong_codes + 1)
        .returning(SECOND_FACTOR.c.wrong_codes)
    )
    return session.execute(statement).scalar_one_or_none()


def _make_warning(email: str, count: int, *, at: datetime) -> Mail:
    subject = "Wrong one-time codes for your account"
    advice = (
        f"After {MAX_WRONG_CODES} wrong codes, right codes are refused too. If you sent the wrong codes, remove your "
        "second factor and enroll it again. Then the count starts at 0."
    )
    if count >= MAX_WRONG_CODES:
        subject, advice = "Your second factor is locked", f"Right codes are refused too from now on. {_UNLOCK_HINT}"
    text = (
        f"{count} wrong one-time codes were sent with the right password of your time tracking account. The last one "
        f"came at {at:%Y-%m-%d %H:%M} UTC.\n\n"
        "If it was not you, somebody knows your password. Change it now, and tell your admin.\n\n"
    )
    return Mail(to=email, subject=subject, text=f"{text}{advice}\n")
