"""Fixtures of the fault tests: real processes on real databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.clock import utc_now
from app.core.tokens import TokenSigner
from app.models.user import User
from tests.support.backend import Backend
from tests.support.databases import settings_for


@pytest.fixture
def two_workers(db_url: str, tmp_path: Path) -> Iterator[Backend]:
    """The service with two worker processes."""
    backend = Backend(db_url, tmp_path, workers=2)
    yield backend
    backend.stop()


@pytest.fixture
def bearer(db_url: str) -> Callable[[User], dict[str, str]]:
    """The header with a person's access token, as a login gives it."""
    signer = TokenSigner(settings_for(db_url))
    return lambda person: {"Authorization": f"Bearer {signer.sign(person.id, person.token_epoch, at=utc_now())}"}
