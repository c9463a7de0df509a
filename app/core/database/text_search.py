"""Search for text without regard to case and Unicode spelling, with the same result on both databases.

LOWER() is not used, because on PostgreSQL it depends on the server's locale and on SQLite it converts only A to Z.
SQLite calls `fold`. On PostgreSQL, a regular expression has the characters that fold to each character of the searched
text. Those are few. A text in ASCII, as most are, needs none of it.
"""

import re
import unicodedata
from collections import defaultdict
from functools import cache

from sqlalchemy import ColumnElement, Text, func, literal

from app.core.database.dialect import contains_fold, nfkc
from app.core.text import fold

_LAST_CASED = 0x1E943
"""The highest code point that case folding changes (Adlam)."""
_SEPARATOR = "\x01"
"""A control character, which neither a stored nor a searched text has."""


def contains_folded(text: ColumnElement[str], searched: str) -> ColumnElement[bool]:
    """Return the condition that the folded text contains the folded searched text.

    `%` and `_` are no wildcards. No index is used, so the text of each row is read. PostgreSQL does not compose a
    combining mark with the last letter of an expansion: an accent after ß stays apart from the second s.
    """
    key = fold(searched)
    return contains_fold(text, literal(key, Text), _expanded(nfkc(text), key), literal(_pattern(key), Text))


def _expanded(text: ColumnElement[str], key: str) -> ColumnElement[str]:
    """Replace what is not one character for one character of the key, in a text in NFKC.

    These are characters that fold to several (ß to ss), of which the key has a part. Those of which it only begins with
    the end are replaced together, behind a separator that is in no key: 63 Greek letters fold to two with an iota at
    the end. Then come capitals that have no character of their own (a Greek letter and two accents), the longest first.
    """
    endings: dict[str, str] = defaultdict(str)
    for expansion, several in _sources().items():
        if len(expansion) == 1:
            continue
        if _contain_or_end(expansion, key):
            for each in several:
                text = func.replace(text, each, expansion)
        elif ending := next((expansion[n:] for n in range(1, len(expansion)) if key.startswith(expansion[n:])), ""):
            endings[ending] += "".join(several)
    for ending, letters in endings.items():
        text = func.regexp_replace(text, f"[{letters}]", f"{_SEPARATOR}{ending}", "g")
    capitals = ((unicodedata.normalize("NFKC", each.upper()), each) for each in dict.fromkeys(key))
    for capital, each in sorted(capitals, key=lambda pair: -len(pair[0])):
        if len(capital) > 1 and fold(capital) == each:
            text = func.replace(text, capital, each)
    return text


def _pattern(key: str) -> str:
    """Return the regular expression of PostgreSQL for the key, with each character that folds to one of its own."""
    sources = _sources()
    return "".join(f"[{each}{''.join(sources[each])}]" if each in sources else re.escape(each) for each in key)


@cache
def _sources() -> dict[str, list[str]]:
    """Return the characters in NFKC that folding changes, by what they fold to."""
    sources = defaultdict(list)
    for each in map(chr, range(_LAST_CASED + 1)):
        if each.casefold() != each == unicodedata.normalize("NFKC", each) != fold(each):
            sources[fold(each)].append(each)
    return dict(sources)


def _contain_or_end(expansion: str, key: str) -> bool:
    """Return True if one text is in the other, or the key ends with the beginning of the expansion."""
    return expansion in key or key in expansion or any(key.endswith(expansion[:n]) for n in range(1, len(expansion)))
