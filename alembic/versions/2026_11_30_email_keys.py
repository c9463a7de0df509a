"""Compare domains by IDNA 2008, and the part before the @ in lower case.

Why: straße.de and strasse.de counted as one domain, because keys of e-mails were case-folded. The key of an address is
unchanged unless it has a letter that case folding replaces, such as ß or a final sigma, or a domain in Punycode.

It changes no row if two users would get the same key. The previous release works with the new keys, but the few users
whose key changed cannot log in on its workers.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence

import idna
import sqlalchemy as sa
from alembic.util import CommandError

from alembic import op

revision = "2026_11_30_email_keys"
down_revision = "2026_11_30_wrong_codes"
branch_labels = None
depends_on = None

_USER = sa.table("user", sa.column("id"), sa.column("email"), sa.column("email_key"))


def upgrade() -> None:
    _replace_keys(_email_key)


def downgrade() -> None:
    _replace_keys(_casefold_key)


def _replace_keys(make_key: Callable[[str], str]) -> None:
    if op.get_context().as_sql:  # nothing changes in the schema, and the rows are unknown
        return
    connection = op.get_bind()
    users = connection.execute(sa.select(_USER).order_by(_USER.c.id)).all()
    _reject_collisions(users, make_key)
    changed = [user for user in users if make_key(user.email) != user.email_key]
    for user in changed:  # first to a key that no other user has or gets
        is_unchanged = (_USER.c.id == user.id) & (_USER.c.email == user.email)  # a request may have changed it
        connection.execute(sa.update(_USER).where(is_unchanged).values(email_key=f"{user.id}"))
    for user in changed:
        is_marked = (_USER.c.id == user.id) & (_USER.c.email_key == f"{user.id}")
        connection.execute(sa.update(_USER).where(is_marked).values(email_key=make_key(user.email)))


def _reject_collisions(users: Sequence[sa.Row[tuple[object, ...]]], make_key: Callable[[str], str]) -> None:
    by_key = defaultdict(list)
    for user in users:
        by_key[make_key(user.email)].append(f"{user.email} (user {user.id})")
    if collisions := [" and ".join(same) for same in by_key.values() if len(same) > 1]:
        raise CommandError(
            f"Nothing was migrated, because these addresses count as the same: {'; '.join(collisions)}. "
            "Change one address of each, then migrate again."
        )


def _casefold_key(email: str) -> str:
    return _nfkc(_nfkc(email).strip().casefold())


def _email_key(email: str) -> str:
    local_part, at, domain = _nfkc(email).strip().rpartition("@")
    return _nfkc(_nfkc(local_part).lower()) + at + _unicode_domain(domain)


def _unicode_domain(domain: str) -> str:
    lower = domain.lower()
    if lower.isascii() and "xn--" not in lower:
        return lower
    try:
        return idna.decode(idna.encode(domain, uts46=True))
    except UnicodeError:
        return _nfkc(_nfkc(domain).lower())


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
