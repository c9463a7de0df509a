"""What one process needs to serve: made once from the settings, closed at the end."""

from app.core.config import Settings
from app.core.db import Database
from app.core.gate import Gate
from app.core.passwords import PasswordHasher
from app.core.spool import Spool
from app.core.tokens import TokenSigner

REPORT_WAIT_SECONDS = 30


class Runtime:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings)
        self.gate = Gate(slots=settings.DB_POOL_SIZE, single_writer=settings.is_sqlite)
        # Reports and exports take their time: they queue beside the punches, never in front of them.
        self.reports_gate = Gate(slots=settings.REPORTS_AT_ONCE, wait_seconds=REPORT_WAIT_SECONDS)
        self.spools: set[Spool] = set()
        self.hasher = PasswordHasher()
        self.signer = TokenSigner(settings)

    def close(self) -> None:
        """Let go of everything. It waits for the threads: not for the event loop."""
        for spool in list(self.spools):
            spool.abandon()  # its producer stops at the next chunk
        self.gate.close()
        self.reports_gate.close()
        self.hasher.close()
        self.database.close()
