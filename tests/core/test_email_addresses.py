"""Keys of e-mail addresses."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from app.core.email_addresses import email_key, email_search_keys

SAME = [
    ["jo@münchen.de", "JO@MÜNCHEN.DE", "jo@mu\u0308nchen.de", "jo@xn--mnchen-3ya.de", "Jo@XN--MNCHEN-3YA.de"],
    ["info@straße.de", "info@STRAẞE.de", "info@xn--strae-oqa.de"],
    ["ana@例え.jp", "ana@例え。jp", "ana@xn--r8jz45g.jp"],
    ["νίκος@example.gr", "ΝΊΚΟΣ@example.gr"],
    ["fina@example.com", "\ufb01na@example.com", " FINA@Example.com\u00a0"],
    ["hans@firma.local", "Hans@FIRMA.local"],
]
DIFFERENT = ["info@straße.de", "info@strasse.de", "strasse@a.de", "straße@a.de", "jo@munchen.de", "jo@münchen.de"]
PARTS = some.text(some.sampled_from("aÄß\u03c3\u03a3\u03c2.@-_xn--\u0308\u200d\u0130\uff11\u3002"), max_size=30)


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_an_address_has_one_key_however_it_is_spelt(spellings):
    assert {email_key(spelling) for spelling in spellings} == {spellings[0]}


def test_addresses_of_two_mailboxes_have_two_keys():
    assert len({email_key(address) for address in DIFFERENT}) == len(DIFFERENT)


@given(some.one_of(some.text(max_size=400), PARTS))
@example("a@xn--a")
@example("a@xn--\u00fc")
@example("a@" + "ü" * 300)
@example("@")
def test_any_text_that_is_typed_at_a_login_has_a_key(text):
    assert isinstance(email_key(text), str)


@given(some.emails().filter(lambda address: "xn--" not in address.lower()))
@example("Ana.O'Neil+time@Example.COM")
def test_the_key_of_an_ascii_address_is_the_address_in_lower_case(address):
    assert email_key(address) == address.lower()


@pytest.mark.parametrize("part", ["JO@", "jo@MÜN", "MÜNCHEN.", "@xn--mnchen-3ya.de", "xn--mnchen-3ya", "chen.DE"])
def test_a_part_of_an_address_is_found_in_its_key(part):
    assert any(key in email_key("jo@münchen.de") for key in email_search_keys(part))
