"""A hash chain that reveals changed or missing links: HMAC-SHA-256 over canonical JSON and the previous link.

The key is not in the database, so write access to the database is not enough to forge a link. Personal values are
replaced by salted digests. A value and its salt can therefore be erased while the chain can still be verified. Without
its 128-bit salt, a digest can't be reversed by guessing.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from typing import Any

GENESIS = ""
"""The previous link of the first link."""
DIGEST_PREFIX = "sha256:"
MAC_PREFIX = "hmac-sha256:"
SALT_LENGTH = 32  # hexadecimal digits
_CANONICAL_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class UnknownKey(Exception):
    """A link was made with a key that is not in the settings."""


class HashChainKeys:
    """The current key, which makes links, and previous keys, which only verify links."""

    def __init__(self, current: str, *old: str) -> None:
        self._keys_by_id = {key_id(secret): _derive_key(secret) for secret in (*old, current)}
        self.current_id = key_id(current)

    def __contains__(self, key: str) -> bool:
        return key in self._keys_by_id

    def mac(self, key: str, payload: dict[str, Any]) -> str:
        """Return the link of a payload, made with the key with this id. Raises UnknownKey."""
        if key not in self:
            raise UnknownKey(f"It was made with the key {key}, which is neither AUDIT_KEY nor in AUDIT_PREVIOUS_KEYS")
        return hmac.new(self._keys_by_id[key], canonical_json(payload).encode(), hashlib.sha256).hexdigest()

    def mac_of_secret(self, name: str, value: str, *, key: str | None = None) -> str:
        """Return the MAC that stands for a stored secret in an event, after the id of its key.

        Nobody can test a guess of the secret without the key. Raises UnknownKey.
        """
        made_with = self.current_id if key is None else key
        return f"{MAC_PREFIX}{made_with}:{self.mac(made_with, {'secret': name, 'value': value})}"

    def macs_of_secret(self, name: str, value: str) -> Iterator[str]:
        """Yield the MAC of a secret under each key."""
        return (self.mac_of_secret(name, value, key=key) for key in self._keys_by_id)

    def is_mac_of_secret(self, mac: str, name: str, value: str) -> bool:
        """Return True if `mac_of_secret` made this MAC of this secret. Raises UnknownKey."""
        key, _, _ = mac.removeprefix(MAC_PREFIX).partition(":")
        return hmac.compare_digest(self.mac_of_secret(name, value, key=key), mac)


def key_id(secret: str) -> str:
    """Return the id of a key: 16 hexadecimal digits, which reveal nothing about the key."""
    return hmac.new(_derive_key(secret), b"name of this key", hashlib.sha256).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """Return a value as canonical JSON (RFC 8785). It may consist of text, integers, booleans, null, lists and objects.

    Raises TypeError or ValueError for any other type.
    """
    return _CANONICAL_ENCODER.encode(value)


def new_salt() -> str:
    return secrets.token_hex(SALT_LENGTH // 2)


def salted_digest(salt: str, path: str, value: str) -> str:
    """Return the digest that replaces a personal value in a chain. Raises TypeError if the value is not text."""
    return DIGEST_PREFIX + hashlib.sha256("\n".join((salt, path, value)).encode()).hexdigest()


def _derive_key(secret: str) -> bytes:
    """Derive a key for chains only, because the secret may sign access tokens too."""
    return hmac.new(secret.encode(), b"employee-time-tracking-api: audit chain", hashlib.sha256).digest()
