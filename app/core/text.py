"""Keys under which Unicode texts are compared, and characters that a reader does not see."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

# Default_Ignorable_Code_Point of Unicode 14.0 to 16.0 (DerivedCoreProperties.txt), which unicodedata does not have.
_DEFAULT_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_BLANK_SYMBOLS = "\u2800\U0001d159"
"""Symbols without ink that are not ignorable: an empty braille cell and a notehead."""
_INVISIBLE = re.compile(f"[{_DEFAULT_IGNORABLE}{_BLANK_SYMBOLS}]")
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates: they can reorder the text beside them. The marks (LRM, RLM, ALM) cannot."""
MAX_MARKS = 30
"""Number of combining marks that are normalized together, as in Unicode's Stream-Safe Text Format (UAX 15)."""
_LAST_MARK = 0x1E94A
_ZWNJ, _ZWJ, _EMOJI_SELECTOR = "\u200c", "\u200d", "\ufe0f"
_JOINING_SCRIPTS = frozenset(
    [
        "ARABIC",
        "SYRIAC",
        "NKO",
        "MANDAIC",
        "ADLAM",
        "MONGOLIAN",
        "DEVANAGARI",
        "BENGALI",
        "GURMUKHI",
        "GUJARATI",
        "ORIYA",
        "TAMIL",
        "TELUGU",
        "KANNADA",
        "MALAYALAM",
        "SINHALA",
        "MYANMAR",
        "KHMER",
        "BALINESE",
        "JAVANESE",
    ]
)
"""Scripts in which a zero-width joiner or non-joiner changes how a word is written, as in Unicode's character names."""


def fold(text: str) -> str:
    """Return the text in NFKC, casefolded. Two spellings of a word are equal then: Straße and STRASSE."""
    if text.isascii():  # three times as fast
        return text.lower()
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", _mark_runs().sub(r"\g<0> ", text))
    return unicodedata.normalize("NFKC", text.casefold())


def normalized_length(text: str) -> int:
    """Return the length of the text in NFKC, before marks are composed with their letters. It is never shorter."""
    return len(text) if text.isascii() else sum(map(_normalized_length_of, text))


@lru_cache(maxsize=4096)
def _normalized_length_of(character: str) -> int:
    return len(unicodedata.normalize("NFKC", character))


@cache
def mark_run_pattern() -> str:
    r"""Return the pattern of MAX_MARKS combining marks, for Python and PostgreSQL.

    Normalization sorts each run of marks. For 2,000 of them that takes 60 ms, and 140 ms on PostgreSQL. So a blank
    splits longer runs.
    """
    marks = [each for each in map(chr, range(_LAST_MARK + 1)) if _is_mark(each)]
    return "[{}]{{{}}}".format("".join(f"\\U{ord(each):08x}" for each in marks), MAX_MARKS)


@cache
def _mark_runs() -> re.Pattern[str]:
    return re.compile(mark_run_pattern())


def _is_mark(character: str) -> bool:
    """Return True if the character is sorted among others, at least after it was decomposed."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def casefold_key(text: str) -> str:
    """Return the folded text without leading and trailing blanks. Texts with one key are equal.

    It is stored next to the original, because SQLite and PostgreSQL convert the case of letters such as Ä differently.
    """
    return fold(unicodedata.normalize("NFKC", text).strip())


def name_key(text: str) -> str:
    """Return the key under which a name is unique and found.

    It is `casefold_key` without the invisible characters, and with one space for each run of blanks.
    """
    return " ".join(casefold_key(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text))).split())


def has_invisible(text: str) -> bool:
    """Return True if the text has a character that a reader does not see."""
    return _INVISIBLE.search(text) is not None


def is_visible(text: str) -> bool:
    """Return True if a reader sees any of the text."""
    return name_key(text) != ""


def has_alphanumeric(text: str) -> bool:
    """Return True if the text has a visible letter or digit of any script."""
    return any(unicodedata.category(each)[0] in "LN" for each in name_key(text))


def find_format_control(text: str) -> str | None:
    """Return the first format control (category Cf) that the text's script does not need, or None.

    Zero-width joiners and non-joiners are needed after a letter of _JOINING_SCRIPTS, and joiners between two emoji.
    """
    return next(_split_controls(text, []), None)


def remove_format_controls(text: str) -> str:
    """Return the text without the format controls that its script does not need."""
    remaining: list[str] = []
    for _ in _split_controls(text, remaining):
        pass
    return "".join(remaining)


def remove_bidi_controls(text: str) -> str:
    """Return the text without bidirectional embeddings, overrides and isolates."""
    return _BIDI_CONTROLS.sub("", text)


def _split_controls(text: str, remaining: list[str]) -> Iterator[str]:
    """Yield the format controls that are not needed, and append all other characters to `remaining`."""
    before = ""
    for each, after in zip(text, [*text[1:], ""], strict=False):
        if unicodedata.category(each) == "Cf" and not _is_needed(each, before, after):
            yield each
        else:
            remaining.append(each)
            before = each


def _is_needed(control: str, before: str, after: str) -> bool:
    if control not in (_ZWNJ, _ZWJ) or before == "":
        return False
    if unicodedata.category(before)[0] in "LM" and unicodedata.name(before, "").partition(" ")[0] in _JOINING_SCRIPTS:
        return True
    is_after_emoji = before == _EMOJI_SELECTOR or unicodedata.category(before) in {"So", "Sk"}  # Sk: skin tones
    return control == _ZWJ and is_after_emoji and after != "" and unicodedata.category(after) == "So"
