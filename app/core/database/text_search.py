"""Search for text without regard to case and Unicode spelling, with the same result on both databases.

LOWER() is not used, because on PostgreSQL it depends on the server's locale and on SQLite it converts only A to Z.
SQLite calls `fold`. On PostgreSQL, the characters that fold to a character of the searched text are replaced in the
stored text. Those are few.
"""

import unicodedata
from collections import defaultdict
from functools import cache

from sqlalchemy import ColumnElement

from app.core.database.dialect import folded
from app.core.text import fold

_LAST_CASED = 0x1E943
"""The highest code point that case folding changes (Adlam)."""


def contains_folded(text: ColumnElement[str], searched: str) -> ColumnElement[bool]:
    """Return the condition that the folded text contains the folded searched text.

    `%` and `_` are no wildcards. No index is used, so the text of each row is read. PostgreSQL does not compose a
    combining mark with the last letter of an expansion: an accent after ß stays apart from the second s.
    """
    key = fold(searched)
    pairs = (side for pair in _replacements(key) for side in pair)
    return folded(text, *pairs).contains(key, autoescape=True)


def _replacements(key: str) -> list[tuple[str, str]]:
    """Return what to replace in a text in NFKC, so that it contains the key if the folded text contains it.

    First come characters that fold to several (ß to ss), of which the key has a part. Then come capitals that have no
    character of their own (a Greek letter and two accents), the longest first. The last fold to one character.
    """
    sources = _sources()
    expanded = [(each, folded) for folded, several in sources.items() if len(folded) > 1 for each in several]
    letters = dict.fromkeys(key)
    capitals = sorted(
        ((unicodedata.normalize("NFKC", each.upper()), each) for each in letters), key=lambda pair: -len(pair[0])
    )
    return [
        *((each, folded) for each, folded in expanded if _overlap(folded, key)),
        *((capital, each) for capital, each in capitals if len(capital) > 1 and fold(capital) == each),
        *((source, each) for each in letters for source in sources.get(each, ())),
    ]


@cache
def _sources() -> dict[str, list[str]]:
    """Return the characters in NFKC that folding changes, by what they fold to."""
    sources = defaultdict(list)
    for each in map(chr, range(_LAST_CASED + 1)):
        if each.casefold() != each == unicodedata.normalize("NFKC", each) != fold(each):
            sources[fold(each)].append(each)
    return dict(sources)


def _overlap(one: str, other: str) -> bool:
    """Return True if one text is in the other, or begins with the end of the other."""
    sizes = range(1, min(len(one), len(other)))
    return one in other or other in one or any(one[:n] == other[-n:] or one[-n:] == other[:n] for n in sizes)
