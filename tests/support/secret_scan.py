"""Search every response, audit event and log line of the tests for secrets (threats 8, 17).

Only a few responses may contain a secret, because their purpose is to hand it out.
"""

import re

from tests.support.databases import SECRET_KEY
from tests.support.factories import PASSWORD

SECRET = re.compile(
    rf"""{re.escape(PASSWORD)}|{re.escape(SECRET_KEY)}
    |argon2
    |ett[rl]?_[\w-]{{40,}}                      # API and refresh tokens, links
    |eyJ[\w-]+\.eyJ[\w-]+                    # access tokens
    |\b[a-z2-7]{{7}}(-[a-z2-7]{{7}}){{3}}\b  # recovery codes
    |otpauth://totp/[^.]                     # with the secret and its parameters
    |\b[A-Z2-7]{{32}}\b                      # secrets of second factors
    """,
    re.VERBOSE,
)
SECRET_ISSUING_PATHS = re.compile(r"/auth/(login|refresh|password|api-tokens|totp|totp/confirm)$|/password-link$")
"""Paths of the operations whose responses contain a secret."""


def assert_no_secrets(text: str, source: str) -> None:
    match = SECRET.search(text)
    assert match is None, f"{match[0]!r} is in {source}"  # type: ignore[index]
