"""E-mail addresses: which are accepted, and the keys under which they are compared.

The keys are for uniqueness, at a login, in searches and in limits.
"""

import unicodedata

import email_validator
import idna
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from app.core.text import has_invisible

MAX_TEXT_LENGTH = 1000
"""More than an address and a name in front of it. A longer text would take long to parse."""
# The library rejects reserved domains, such as .local and .localhost, which are login names on a company's own network.
# Only .invalid stays, because it is the domain of erased users.
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = ["invalid"]


def parse_address(text: str, *, allow_display_name: bool = False) -> ValidatedEmail:
    """Parse an e-mail address, also one at a host without a public suffix, such as firma.local or intranet.

    A display name, as in "Ana <ana@example.com>", is an error unless it is allowed. Raises ValueError.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise ValueError("The text is too long for an e-mail address.")
    try:
        address = validate_email(
            text, check_deliverability=False, globally_deliverable=False, allow_display_name=allow_display_name
        )
    except EmailNotValidError as error:
        raise ValueError(f"This is not an e-mail address. {error}") from None
    if has_invisible(address.local_part):  # in the domain, joiners are part of the name and IDNA checks them
        raise ValueError("The part before @ has an invisible character. Remove it.")
    return address


def normalize_address(text: str) -> str:
    """Return an e-mail address in the form that is stored: the domain in Unicode and lower case.

    Outer blanks and a display name are left out. Raises ValueError.
    """
    return parse_address(text.strip(), allow_display_name=True).normalized


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
