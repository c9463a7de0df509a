"""Secrets that must be read again, encrypted at rest: whoever has the database alone can't read them."""

import base64
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class DecryptionFailed(Exception):
    """None of the keys opens this secret: its key is missing from the settings, or the row was changed."""


class SecretBox:
    """AES-256-GCM under a key made from the setting; old keys still open what they sealed.

    The owner is authenticated with it, so a secret that somebody copies into another person's row doesn't open.
    """

    def __init__(self, current: str, *old: str) -> None:
        self._ciphers = [AESGCM(hashlib.sha256(b"seal:" + key.encode()).digest()) for key in (current, *old)]

    def encrypt(self, secret: str, *, owner_id: int) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._ciphers[0].encrypt(nonce, secret.encode(), str(owner_id).encode())
        return base64.b64encode(nonce + ciphertext).decode()

    def decrypt(self, ciphertext: str, *, owner_id: int) -> str:
        """The secret. Raises DecryptionFailed."""
        content = base64.b64decode(ciphertext)
        for cipher in self._ciphers:
            try:
                plaintext = cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], str(owner_id).encode())
            except InvalidTag:
                continue
            return plaintext.decode()
        raise DecryptionFailed(f"The second factor of person {owner_id} can't be read: is TOTP_KEY another one now?")
