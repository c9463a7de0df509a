"""Authentication is a dependency of FastAPI's like any other."""

import asyncio

from fastapi import Request
from httpx import ASGITransport, AsyncClient

from app.api.dependencies.authentication import UserTransactions, as_any_user
from app.api.dependencies.transactions import Transactions
from app.main import API, create_app
from app.services.access.actor import Actor


def test_whoever_builds_on_the_app_can_authenticate_people_their_own_way(server, ana):
    async def as_ana(request: Request) -> UserTransactions:
        return UserTransactions(Transactions(request), lambda _session: Actor(ana.id, ana.role, ana.time_zone))

    async def ask() -> dict[str, str]:
        app = create_app(server.settings)
        app.dependency_overrides[as_any_user] = as_ana
        client = AsyncClient(transport=ASGITransport(app), base_url=f"http://127.0.0.1{API}")
        async with app.router.lifespan_context(app), client:
            return (await client.get("/auth/me")).json()

    assert asyncio.run(ask())["email"] == ana.email
