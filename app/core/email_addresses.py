"""The keys under which e-mail addresses are compared: for uniqueness, at a login, in searches and in limits."""

import unicodedata

import idna


def email_key(address: str) -> str:
    """Return the key of an e-mail address, without outer blanks. It is defined for any text.

    The part before the @ is in lower case after NFKC. The domain is in the Unicode form of IDNA 2008, so that
    xn--mnchen-3ya.de is münchen.de, while straße.de and strasse.de are two domains. The key of an ASCII address is the
    address in lower case.
    """
    local_part, at, domain = unicodedata.normalize("NFKC", address).strip().rpartition("@")
    return _lower(local_part) + at + _unicode_domain(domain)


def email_search_keys(text: str) -> set[str]:
    """Return what the key of an address contains if the address contains the text, before the @ or in the domain."""
    return {email_key(text), _lower(text)}


def _lower(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def _unicode_domain(domain: str) -> str:
    """Return the Unicode form of a domain name, or lower case if it is not a valid one, for example a part of it."""
    lower = domain.lower()
    if lower.isascii() and "xn--" not in lower:
        return lower
    try:
        return idna.decode(idna.encode(domain, uts46=True))
    except UnicodeError:  # the base class of the errors of idna, and of those of its Punycode decoder
        return _lower(domain)
