"""Authentication is a plain FastAPI dependency, which dependency_overrides can replace."""

import asyncio

from fastapi import Request
from httpx import ASGITransport, AsyncClient

from app.api.dependencies.authentication import UserTransactionRunner, require_user_allow_pending
from app.api.dependencies.transactions import RequestTransactionRunner
from app.main import API_PREFIX, create_app
from app.services.access.actor import Actor


def test_whoever_builds_on_the_app_can_authenticate_people_their_own_way(server, ana):
    async def as_ana(request: Request) -> UserTransactionRunner:
        return UserTransactionRunner(
            RequestTransactionRunner(request), lambda _session: Actor(ana.id, ana.role, ana.time_zone)
        )

    async def ask() -> dict[str, str]:
        app = create_app(server.settings)
        app.dependency_overrides[require_user_allow_pending] = as_ana
        client = AsyncClient(transport=ASGITransport(app), base_url=f"http://127.0.0.1{API_PREFIX}")
        async with app.router.lifespan_context(app), client:
            return (await client.get("/auth/me")).json()

    assert asyncio.run(ask())["email"] == ana.email
