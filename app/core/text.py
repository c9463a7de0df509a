"""Case-insensitive comparison of Unicode text."""

import unicodedata


def casefold_key(text: str) -> str:
    """Return the key under which a name or e-mail is unique: NFKC, casefolded, without leading and trailing blanks.

    It is stored next to the original, because SQLite and PostgreSQL convert the case of letters such as Ä differently.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).strip().casefold())
