"""Encryption at rest for secrets in the database. Without the key from the settings they can't be read."""

import base64
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class DecryptionFailed(Exception):
    """No key decrypts this secret: its key is missing from the settings, or the row was tampered with."""


class SecretBox:
    """AES-256-GCM with a key derived from the setting. Previous keys still decrypt.

    The owner's id is authenticated as associated data, so a secret copied to another user's row can't be decrypted.
    """

    def __init__(self, current: str, *old: str) -> None:
        self._ciphers = [AESGCM(hashlib.sha256(b"seal:" + key.encode()).digest()) for key in (current, *old)]

    def encrypt(self, secret: str, *, owner_id: int) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._ciphers[0].encrypt(nonce, secret.encode(), str(owner_id).encode())
        return base64.b64encode(nonce + ciphertext).decode()

    def decrypt(self, ciphertext: str, *, owner_id: int) -> str:
        """Return the secret. Raises DecryptionFailed."""
        content = base64.b64decode(ciphertext)
        for cipher in self._ciphers:
            try:
                plaintext = cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], str(owner_id).encode())
            except InvalidTag:
                continue
            return plaintext.decode()
        raise DecryptionFailed(
            f"The second factor of user {owner_id} can't be decrypted. Set its key in TOTP_KEY or TOTP_PREVIOUS_KEYS."
        )
