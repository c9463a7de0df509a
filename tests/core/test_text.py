"""Keys of names, and the invisible characters that names may have."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from app.core.text import (
    casefold_key,
    find_format_control,
    has_alphanumeric,
    has_invisible,
    is_visible,
    name_key,
    normalized_length,
    remove_bidi_controls,
    remove_format_controls,
)

ANY_TEXT = some.text(some.characters(codec="utf-8"), max_size=40)
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200d\u2060\u2800\u3164\ufe0f\ufeff\uffa0"
    "\U000e0041\U000e0100"
)
MIXED = some.text(some.sampled_from(f"aÄß1\u0131\u0301\u0323 \u0645\u0915\u094d\U0001f468{INVISIBLE}"), max_size=20)
NEEDED = {
    "Persian": "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "Malayalam, at the end": "\u0d2e\u0d4b\u0d39\u0d28\u0d4d\u200d",
    "Bengali, before the virama": "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
    "Sinhala": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a health worker": "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
    "a heart on fire": "\u2764\ufe0f\u200d\U0001f525",
}


@given(some.one_of(ANY_TEXT, MIXED))
@example("e\u034f\u0301")
@example(" \u3164 P1 \u2800 ")
def test_the_key_of_a_name_is_its_own_key_and_has_nothing_invisible(text):
    key = name_key(text)

    assert name_key(key) == key
    assert not has_invisible(key)
    assert key == key.strip()


@given(some.one_of(ANY_TEXT, MIXED), some.sampled_from(INVISIBLE), some.integers(0, 20))
def test_an_invisible_character_anywhere_does_not_change_the_key(text, invisible, position):
    assert name_key(text[:position] + invisible + text[position:]) == name_key(text)


@given(some.one_of(ANY_TEXT, MIXED), some.sampled_from("\u0020\u00a0\u1680\u2003\u202f\u3000"), some.integers(0, 20))
def test_a_second_blank_beside_a_blank_does_not_change_the_key(text, blank, position):
    before, after = text[:position], text[position:]

    assert name_key(f"{before} {blank}{after}") == name_key(f"{before} {after}")


@given(some.text(some.characters(codec="utf-8", exclude_characters=INVISIBLE, exclude_categories=["Cf", "Cn"])))
def test_without_invisible_characters_the_key_is_that_of_earlier_versions_with_single_spaces(text):
    assert has_invisible(text) or name_key(text) == " ".join(casefold_key(text).split())


@given(some.one_of(ANY_TEXT, MIXED))
@example("\u200d\u200d")
@example("\u0915\u200d\u200d")
def test_text_without_its_format_controls_is_accepted_and_looks_alike(text):
    remaining = remove_format_controls(text)

    assert find_format_control(remaining) is None
    assert remaining == text or find_format_control(text) is not None
    assert [each for each in remaining if unicodedata.category(each) != "Cf"] == [
        each for each in text if unicodedata.category(each) != "Cf"
    ]


@pytest.mark.parametrize("name", NEEDED.values(), ids=NEEDED.keys())
def test_joiners_are_accepted_where_a_script_needs_them(name):
    assert find_format_control(name) is None
    assert name_key(name) == name_key(name.replace("\u200d", "").replace("\u200c", ""))


@pytest.mark.parametrize(
    "name", ["P1\u200d", "\u200dP1", "P\u200c1", "\u0661\u200d", "\u060c\u200d", "\u0915\u200d\u200d"]
)
def test_joiners_are_rejected_elsewhere(name):
    assert find_format_control(name) in ("\u200c", "\u200d")


def test_letters_and_digits_count_in_every_script_but_only_visible_ones():
    assert all(map(has_alphanumeric, ("P1", "日本", "٣", "ж", "²", "!a")))
    assert not any(map(has_alphanumeric, ("", "-", "\U0001f680", "\u3164", "\u115f\u1160", "\u2800", "...")))
    assert all(map(is_visible, ("-", "\U0001f680", ".")))
    assert not any(map(is_visible, (" ", "\u3164", "\u2800 \u034f", "\ufe0f")))


def test_bidirectional_marks_stay_and_what_reorders_other_text_goes():
    assert remove_bidi_controls("\u202e\u2066a\u2069\u202c \u200fb\u061c") == "a \u200fb\u061c"


@given(some.text())
def test_the_normalized_length_is_never_shorter_than_the_text_in_nfkc(text):
    assert normalized_length(text) >= len(unicodedata.normalize("NFKC", text))
