"""Keys for signing, hash chains and encryption, derived from the secrets in the settings."""

import os
import secrets
import stat
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pydantic import SecretStr

from app.core.config.settings import InvalidSettings, Settings, reject_weak_key
from app.core.security.encryption import SecretBox
from app.core.security.hash_chain import HashChainKeys
from app.core.security.opaque_tokens import ApiTokens, RefreshTokens

_OPEN_TO_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


class Keyring:
    """The keys of one process. Each is created at its first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.key_file = _find_key_file(settings)
        """SECRET_KEY_FILE, which is used if SECRET_KEY is not set. It may not exist yet."""

    @cached_property
    def signing_key(self) -> str:
        """SECRET_KEY or, in development, the key in SECRET_KEY_FILE. Raises InvalidSettings.

        A missing file is created with a random key, readable by its owner only.
        """
        if self._settings.SECRET_KEY is not None:
            return self._settings.SECRET_KEY.get_secret_value()
        return _load_or_create_key(self.key_file)

    @property
    def is_audit_key_missing(self) -> bool:
        """True if the audit key would be generated at its first use, so it has chained no event."""
        is_set = self._settings.SECRET_KEY is not None or self._settings.AUDIT_KEY is not None
        return not is_set and not self.key_file.exists()

    @property
    def is_key_file_misplaced(self) -> bool:
        """True if the signing key is in a file that only processes with this working directory find."""
        return self._settings.SECRET_KEY is None and self.key_file != self._settings.secret_key_file

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


def _find_key_file(settings: Settings) -> Path:
    """Return the path of SECRET_KEY_FILE, or its path in version 0.10 and earlier if the file is only there.

    It was relative to the working directory. A new database does not take over a file there, because that is the key
    of another database.
    """
    file, former, database = settings.secret_key_file, Path.cwd() / settings.SECRET_KEY_FILE, settings.database_file
    is_upgrade = database is not None and database.exists() and not file.exists() and former.exists()
    return former if is_upgrade else file


def _load_or_create_key(path: Path) -> str:
    """Return the key in the file, which is created if it does not exist. Raises InvalidSettings."""
    try:
        if not path.exists():
            _create_key_file(path)
        key = _read_private_file(path)
    except OSError as error:
        raise InvalidSettings(f"SECRET_KEY_FILE can't be used ({error.strerror}). Set SECRET_KEY.") from None
    reject_weak_key("The key in SECRET_KEY_FILE", key)
    return key


def find_exposed_files(settings: Settings) -> list[Path]:
    """Return the files with secrets or personal data that other users of this machine may read or change."""
    files = [Path(str(Settings.model_config.get("env_file")))]
    if settings.database_file is not None:
        files.append(settings.database_file)
    return [file for file in files if file.exists() and _is_exposed(file.stat())]


def _is_exposed(status: os.stat_result) -> bool:
    """Return True if the group or others may read or write the file. Only POSIX has such permissions."""
    return os.name == "posix" and bool(status.st_mode & _OPEN_TO_OTHERS)


def _read_private_file(path: Path) -> str:
    """Return the text of the key file. Raises InvalidSettings if another user could have read or written it."""
    with path.open(encoding="ascii", errors="backslashreplace") as file:
        status = os.fstat(file.fileno())
        if _is_exposed(status):
            raise InvalidSettings(f"SECRET_KEY_FILE can be read or changed by other users. Run: chmod 600 {path}")
        if os.name == "posix" and status.st_uid not in {0, os.geteuid()}:
            raise InvalidSettings(f"SECRET_KEY_FILE belongs to another user. Run: chown {os.geteuid()} {path}")
        return file.read().strip()


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
