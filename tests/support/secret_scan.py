"""Search every response, audit event and log line of the tests for secrets (threats 8, 17).

Only a few responses may contain a secret, because their purpose is to hand it out.
"""

import re

from tests.support.databases import SECRET_KEY
from tests.support.factories import PASSWORD

SECRETS = [
    re.compile(pattern)
    for pattern in (
        re.escape(PASSWORD),
        re.escape(SECRET_KEY),
        "argon2",
        r"ett[rl]?_[\w-]{40,}",  # API and refresh tokens, links
        r"eyJ[\w-]+\.eyJ[\w-]+",  # access tokens
        r"-(?<=\b[a-z2-7]{7}-)[a-z2-7]{7}(-[a-z2-7]{7}){2}\b",  # recovery codes
        r"otpauth://totp/[^.]",  # with the secret and its parameters
        r"[A-Z2-7](?<!\w.)[A-Z2-7]{31}\b",  # secrets of second factors
    )
]
"""Each begins with a character or a set of them, because `re` then skips all other places of a text.

One pattern of them all would take five times as long.
"""
SECRET_ISSUING_PATHS = re.compile(
    r"/auth/((page/)?login|(page/)?refresh|password|api-tokens|totp|totp/confirm)$|/password-link$"
)
"""Paths of the operations whose responses contain a secret."""


def assert_no_secrets(text: str, source: str) -> None:
    for pattern in SECRETS:
        match = pattern.search(text)
        assert match is None, f"{match[0]!r} is in {source}"
