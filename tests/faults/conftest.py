"""Fixtures of the fault tests: real processes on real databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.clock import utc_now
from app.core.db import Database
from app.core.tokens import TokenSigner
from app.models.user import User
from tests.support.backend import Backend
from tests.support.credentials import session_of
from tests.support.databases import settings_for


@pytest.fixture
def two_workers(db_url: str, tmp_path: Path) -> Iterator[Backend]:
    """The service with two worker processes."""
    backend = Backend(db_url, tmp_path, workers=2)
    yield backend
    backend.stop()


@pytest.fixture
def bearer(db_url: str) -> Iterator[Callable[[User], dict[str, str]]]:
    """The header with a person's access token, as a login gives it."""
    settings = settings_for(db_url)
    signer, database = TokenSigner(settings), Database(settings)

    def header(person: User) -> dict[str, str]:
        opened = session_of(database, person)
        return {"Authorization": f"Bearer {signer.sign(opened.user_id, opened.session_id, at=utc_now())}"}

    yield header
    database.close()
