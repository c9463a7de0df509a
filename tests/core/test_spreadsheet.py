"""Python and PostgreSQL escape formulas with the same result (threats 23)."""

import random
import time

import pytest
from sqlalchemy import Text, column, select, values

from app.core.database.session import Database
from app.core.spreadsheet import SPLITS, SPLITS_OF_SEMICOLON_FILE, escape_formula, escape_formula_postgresql
from tests.support.cli import empty_database
from tests.support.databases import POSTGRESQL, settings_for

LATIN = "abZ9=+-@;\t\r\n ' \u00a0\u0085\u001f\u000b\u00fc\u00c4\"\\&$^[]"
ALL = f"{LATIN}\u3000\u2003\uff1d\ufb29\u207c日ж한"


def texts(characters: str) -> list[str]:
    dice = random.Random(23)
    return ["".join(dice.choice(characters) for _ in range(dice.randrange(8))) for _ in range(4000)]


def escape_all(database, strings: list[str], splits: str = SPLITS) -> list[str]:
    numbered = values(column("number"), column("text", Text), name="texts").data(list(enumerate(strings)))
    safe_ones = select(escape_formula_postgresql(numbered.c.text, splits)).order_by(numbered.c.number)
    with database.read_transaction() as session:
        return list(session.execute(safe_ones).scalars())


@pytest.mark.parametrize("engine", [POSTGRESQL])
@pytest.mark.parametrize("splits", [SPLITS, SPLITS_OF_SEMICOLON_FILE])
def test_postgresql_makes_texts_safe_as_python_does(database, engine, splits):
    strings = texts(f"{ALL},")

    assert escape_all(database, strings, splits) == [escape_formula(text, splits) for text in strings]


def test_a_database_in_another_encoding_does_too(tmp_path, postgresql_server):
    with empty_database(POSTGRESQL, tmp_path, postgresql_server, encoding="LATIN1") as url:
        database, strings = Database(settings_for(url)), texts(LATIN)
        assert escape_all(database, strings) == [escape_formula(text) for text in strings]
        database.close()


@pytest.mark.parametrize(
    "blanks", ["\t" * 2000, "\n" * 2000, "\t " * 1000, ";\t" * 1000, ";" + " " * 1999, "\n\t" * 1000]
)
def test_a_text_of_blanks_takes_python_no_longer_than_others(blanks):
    """Anybody can describe an entry so, and the exports of all users have to escape it. One took 130 ms."""
    started_at = time.thread_time()

    for _ in range(20):
        assert escape_formula(f"a{blanks}") == f"a{blanks}"

    assert time.thread_time() - started_at < 0.2


@pytest.mark.parametrize("engine", [POSTGRESQL])
def test_texts_of_blanks_take_postgresql_no_longer_than_others(database, engine):
    """One took 55 ms."""
    strings = ["a" + "\t" * 2000] * 100
    started_at = time.monotonic()

    assert escape_all(database, strings) == strings

    assert time.monotonic() - started_at < 2
