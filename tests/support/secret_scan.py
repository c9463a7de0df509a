"""What must never show outside the few answers that hand it out (threats 8, 17): held against every answer, event and
log line that the suite gets to see."""

import re

from tests.support.databases import SECRET_KEY
from tests.support.factories import PASSWORD

SECRET = re.compile(
    rf"""{re.escape(PASSWORD)}|{re.escape(SECRET_KEY)}
    |argon2
    |ett[rl]?_[\w-]{{40,}}                      # API and refresh tokens, links
    |eyJ[\w-]+\.eyJ[\w-]+                    # access tokens
    |\b[a-z2-7]{{7}}(-[a-z2-7]{{7}}){{3}}\b  # recovery codes
    |otpauth://totp/[^.]                     # with what an authenticator needs to know
    |\b[A-Z2-7]{{32}}\b                      # secrets of authenticators
    """,
    re.VERBOSE,
)
SECRET_ISSUING_PATHS = re.compile(r"/auth/(login|refresh|password|api-tokens|totp|totp/confirm)$|/password-link$")
"""Paths of operations whose answers hand a secret to whom it is for."""


def assert_no_secrets(text: str, source: str) -> None:
    match = SECRET.search(text)
    assert match is None, f"{match[0]!r} is in {source}"  # type: ignore[index]
