"""Checks of the texts in requests. Each returns the text, or raises ValueError."""

from app.core.email_addresses import email_key
from app.core.text import (
    casefold_key,
    find_format_control,
    has_alphanumeric,
    is_visible,
    normalized_length,
)

MAX_KEY_LENGTH = 400
MAX_NORMALIZED_DESCRIPTION = 4000


def check_key_length(text: str) -> str:
    """Reject text whose key is too long for its column. NFKC can turn one character into 18 (U+FDFA).

    The length is checked before normalization, because a million combining marks take minutes to sort.
    """
    if len(text) > MAX_KEY_LENGTH or len(casefold_key(text)) > MAX_KEY_LENGTH:
        raise ValueError("The text is too long after Unicode normalization. Use simpler characters.")
    return text


def check_normalized_length(text: str) -> str:
    """Reject a description that takes each search a long time. 2,000 characters U+FDFA take 5 ms, 300 rows a second."""
    if normalized_length(text) > MAX_NORMALIZED_DESCRIPTION:
        raise ValueError("The text is too long after Unicode normalization. Use simpler characters.")
    return text


def check_email_key(email: str) -> str:
    """Reject an address whose key is too long for its column."""
    if len(email_key(email)) > MAX_KEY_LENGTH:
        raise ValueError("The address is too long after Unicode normalization. Use simpler characters.")
    return email


def check_controls(text: str) -> str:
    """Reject format controls that the script does not need, and text without a visible character."""
    if control := find_format_control(text):
        raise ValueError(f"The character U+{ord(control):04X} is invisible. Remove it.")
    if not is_visible(text):
        raise ValueError("All characters are invisible. Send text that can be seen.")
    return text


def check_letters(text: str) -> str:
    if not has_alphanumeric(text):
        raise ValueError("Send at least one letter or digit.")
    return text
