"""Search for text on both databases, compared with folding in Python."""

import time
import unicodedata

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from sqlalchemy import String, literal, select
from sqlalchemy.dialects import postgresql

from app.core.database.text_search import contains_folded
from app.core.text import fold

LETTERS = (
    "aA\u00e4\u00c4sS\u00df\u1e9e\u03c3\u03a3\u03c2\u03b9\u0399\u0390\u03aa\u1fb3\u1fbciI\u0130\u0131\ufb01\uff21 %_/'"
)
"""Without combining marks: after a letter that folds to two, PostgreSQL does not compose them with the second."""
TEXTS = some.text(some.sampled_from(LETTERS), max_size=12)
CASED = [each for each in map(chr, range(0x20000)) if each.casefold() != each]


@pytest.fixture
def find(database):
    """Return a function that says for pairs of a searched text and another text whether the database finds it."""

    def search(pairs):
        with database.read_transaction() as session:
            columns = (contains_folded(literal(text, String), searched) for searched, text in pairs)
            return [bool(found) for found in session.execute(select(*columns)).one()]

    return search


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(searched=TEXTS.filter(bool), text=TEXTS)
@example(searched="strasse", text="Hauptstra\u00dfe")
@example(searched="fus", text="Fu\u00df")
@example(searched="sie", text="\u00dfie")
@example(searched="\u0390", text="\u03aa\u0301")
@example(searched="\u03b1\u03b9", text="\u1fbc")
@example(searched="\u03b9\u03ba\u03b9", text="\u03b9\u03ba\u1fb3")
@example(searched="\u03b9\u03ba\u03b9", text="\u1fb3\u03ba\u0399")
@example(searched="gru\u0308n", text="GR\u00dcN")
@example(searched="gr\u00fcn", text="GRU\u0308N")
def test_the_database_finds_what_folding_finds(find, searched, text):
    assert find([(searched, text)]) == [fold(searched) in fold(text)]


@pytest.mark.parametrize(
    "searched",
    [
        "Meeting",
        "Stra\u00dfe",
        "\u0399\u03c9\u03ac\u03bd\u03bd\u03b7\u03c2",
        "\u0391\u03bd\u03b1\u03c3\u03ba\u03cc\u03c0\u03b7\u03c3\u03b7",
    ],
)
def test_few_replacements_are_made_in_each_text(searched):
    """63 Greek letters fold to two with an iota at the end. A name that begins with iota must not replace each."""
    condition = contains_folded(literal("", String), searched)

    assert str(condition.compile(dialect=postgresql.dialect())).count("replace(") <= 3


def test_each_cased_letter_is_found_in_every_case_and_spelling(find):
    """One statement has a hundred letters, because each new statement takes time to compile."""
    for start in range(0, len(CASED), 100):
        pairs = [(each, f"1{spelling}2") for each in CASED[start : start + 100] for spelling in spellings_of(each)]

        assert find(pairs) == [fold(searched) in fold(text) for searched, text in pairs]


@pytest.mark.parametrize("marks", ["\u0300\u0316", "\u0344\u0334"])
def test_a_text_of_marks_in_disorder_is_found_by_its_words_and_folded_fast(find, marks):
    """Normalization sorts marks. Without a limit, 50 descriptions of 2,000 marks would take seconds."""
    first, second = marks
    texts = [f"Minutes {first * 990}{second * 990} of {number}" for number in range(50)]
    pairs = [(word, text) for text in texts for word in ("minutes", "zeta")]
    started_at = time.thread_time()

    assert [fold(word) in fold(text) for word, text in pairs] == [True, False] * 50

    assert time.thread_time() - started_at < 1
    started_at = time.monotonic()
    assert find(pairs) == [True, False] * 50
    assert time.monotonic() - started_at < 5


def spellings_of(character):
    cases = {form(character) for form in (str, str.upper, str.lower, str.title)}
    return cases | {unicodedata.normalize("NFD", each) for each in cases}
