"""Keys for signing, hash chains and encryption, derived from the secrets in the settings."""

import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from app.core.config.settings import InvalidSettings, Settings, reject_weak_key
from app.core.security.encryption import SecretBox
from app.core.security.hash_chain import HashChainKeys
from app.core.security.opaque_tokens import ApiTokens, RefreshTokens


class Keyring:
    """The keys of one process. Each is created at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def signing_key(self) -> str:
        """SECRET_KEY or, in development, the key in SECRET_KEY_FILE. Raises InvalidSettings.

        A missing file is created with a random key, readable by its owner only.
        """
        if self._settings.SECRET_KEY is not None:
            return self._settings.SECRET_KEY.get_secret_value()
        return _load_or_create_key(self._settings.SECRET_KEY_FILE)

    @property
    def audit_secrets(self) -> list[str]:
        """AUDIT_KEY, or the signing key if it is not set, followed by AUDIT_PREVIOUS_KEYS."""
        return self._secrets(self._settings.AUDIT_KEY, self._settings.AUDIT_PREVIOUS_KEYS)

    @cached_property
    def audit_keys(self) -> HashChainKeys:
        """Keys for the audit log's chains. Previous keys only verify."""
        return HashChainKeys(*self.audit_secrets)

    @cached_property
    def api_tokens(self) -> ApiTokens:
        """Encoder and decoder of API tokens, with the signing key."""
        return ApiTokens(self.signing_key)

    @cached_property
    def refresh_tokens(self) -> RefreshTokens:
        """Encoder and decoder of refresh tokens, with the signing key."""
        return RefreshTokens(self.signing_key)

    @cached_property
    def secret_box(self) -> SecretBox:
        """Encryption of second factors, with TOTP_KEY or else the signing key. TOTP_PREVIOUS_KEYS still decrypt."""
        return SecretBox(*self._secrets(self._settings.TOTP_KEY, self._settings.TOTP_PREVIOUS_KEYS))

    def _secrets(self, own: SecretStr | None, old: list[SecretStr]) -> list[str]:
        current = self.signing_key if own is None else own.get_secret_value()
        return [current, *(key.get_secret_value() for key in old)]


def _load_or_create_key(path: Path) -> str:
    """Return the key in the file, which is created if it does not exist. Raises InvalidSettings."""
    try:
        if not path.exists():
            _create_key_file(path)
        key = path.read_text("ascii", errors="backslashreplace").strip()
    except OSError as error:
        raise InvalidSettings(f"SECRET_KEY_FILE can't be used ({error.strerror}). Set SECRET_KEY.") from None
    reject_weak_key("The key in SECRET_KEY_FILE", key)
    return key


def _create_key_file(path: Path) -> None:
    """Write a random key atomically. The hard link fails if another worker process created the file first."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    temporary.touch(mode=0o600)
    try:
        temporary.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
