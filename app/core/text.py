"""Text compared as people compare it."""

import unicodedata


def casefold_key(text: str) -> str:
    """The form under which a name or e-mail is unique: NFKC, casefolded, outer blanks dropped.

    Stored beside the original, since SQLite's lower() keeps Ä and ä apart and two engines must agree.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).strip().casefold())
