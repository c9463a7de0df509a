"""Services that stay up from test to test, for tests that only send requests: a start takes seconds, and there are
dozens of them."""

from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.engine import URL

from tests.support.backend import Backend
from tests.support.databases import empty_again, fresh_database


class StandingServices:
    """For each engine a service with two workers, started for the first who asks; stopped by `close`."""

    def __init__(self, folder: Path, server: URL, templates: Path) -> None:
        self._folder, self._server, self._templates = folder, server, templates
        self._db_urls: dict[str, str] = {}
        self._services: dict[str, Backend] = {}
        self._ending = ExitStack()
        self.close = self._ending.close

    def emptied(self, engine: str) -> str:
        """The DB_URL of the engine's service, and nobody in that database: as after a restore, it needs no restart."""
        if engine in self._db_urls:
            empty_again(self._db_urls[engine], self._server, self._templates)
        else:
            database = fresh_database(engine, self._folder, self._server, self._templates)
            self._db_urls[engine] = self._ending.enter_context(database)
        return self._db_urls[engine]

    def service(self, engine: str) -> Backend:
        """The service on the database that `emptied` gave."""
        if engine not in self._services:
            self._services[engine] = Backend(self._db_urls[engine], self._folder, workers=2)
            self._ending.callback(self._services[engine].stop)
        return self._services[engine]
