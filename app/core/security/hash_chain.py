"""Chains of records that show when one is changed or missing: HMAC-SHA-256 over canonical JSON and the link before.

The key lives outside the database, so whoever writes to the database alone can't forge a link. Personal values stay
outside the chain: it holds their salted digests, so that a value and its salt can be erased and the chain still proves
the rest. (A digest whose 128 bits of salt are gone can't be guessed back, however few names there are.)
"""

import hashlib
import hmac
import json
import secrets
from typing import Any

GENESIS = ""
"""The link before the first."""
DIGEST_PREFIX = "sha256:"
SALT_LENGTH = 32  # hexadecimal digits
_CANONICAL_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class UnknownKey(Exception):
    """A link was made with a key that isn't among ours."""


class HashChainKeys:
    """The key that makes links, and older ones that only prove theirs."""

    def __init__(self, current: str, *old: str) -> None:
        self._keys_by_id = {key_id(secret): _derive_key(secret) for secret in (*old, current)}
        self.current_id = key_id(current)

    def mac(self, key: str, payload: dict[str, Any]) -> str:
        """The link of these facts under the key with this id. Raises UnknownKey."""
        if key not in self._keys_by_id:
            raise UnknownKey(f"It was made with the key {key}, which is neither AUDIT_KEY nor in AUDIT_PREVIOUS_KEYS")
        return hmac.new(self._keys_by_id[key], canonical_json(payload).encode(), hashlib.sha256).hexdigest()


def key_id(secret: str) -> str:
    """The name of a key: 16 hexadecimal digits that tell nothing of it."""
    return hmac.new(_derive_key(secret), b"name of this key", hashlib.sha256).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """The one way to write a value of text, whole numbers, booleans, null, lists and objects as JSON (RFC 8785).

    Raises TypeError or ValueError for anything else.
    """
    return _CANONICAL_ENCODER.encode(value)


def new_salt() -> str:
    return secrets.token_hex(SALT_LENGTH // 2)


def salted_digest(salt: str, path: str, value: str) -> str:
    """What a chain holds in the place of a personal value. Raises TypeError for one that isn't text."""
    return DIGEST_PREFIX + hashlib.sha256("\n".join((salt, path, value)).encode()).hexdigest()


def _derive_key(secret: str) -> bytes:
    """A key for chains alone, since the secret may sign access tokens too."""
    return hmac.new(secret.encode(), b"employee-time-tracking-api: audit chain", hashlib.sha256).digest()
