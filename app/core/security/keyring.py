"""The keys that the service chains and encrypts with, made from the secrets in the settings."""

from functools import cached_property

from app.core.config.settings import Settings
from app.core.security.encryption import Sealer
from app.core.security.hash_chain import ChainKeys
from app.core.security.opaque_tokens import RefreshTokens


class Keyring:
    """The keys of one process. Each is made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def audit_keys(self) -> ChainKeys:
        """The keys that chain the record: AUDIT_KEY, else the signing key; AUDIT_OLD_KEYS prove what they once made."""
        return ChainKeys(*self._settings.audit_secrets)

    @cached_property
    def refresh_tokens(self) -> RefreshTokens:
        """The maker and reader of refresh tokens, under the signing key."""
        return RefreshTokens(self._settings.signing_key)

    @cached_property
    def sealer(self) -> Sealer:
        """The keys of the second factors' secrets: TOTP_KEY, else the signing key; TOTP_OLD_KEYS still decrypt."""
        return Sealer(*self._settings.totp_secrets)
