"""What one process needs to serve: made once from the settings, closed at the end."""

from app.core.config import Settings
from app.core.db import Database
from app.core.gate import Gate
from app.core.passwords import PasswordHasher
from app.core.tokens import TokenSigner

EXPORT_WAIT_SECONDS = 30


class Runtime:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.gate = Gate(slots=settings.DB_POOL_SIZE, single_writer=settings.is_sqlite)
        self.exports_gate = Gate(slots=settings.EXPORTS_AT_ONCE, wait_seconds=EXPORT_WAIT_SECONDS)
        self.hasher = PasswordHasher()
        self.signer = TokenSigner(settings)

    def close(self) -> None:
        self.gate.close()
        self.exports_gate.close()
        self.hasher.close()
        self.database.close()
