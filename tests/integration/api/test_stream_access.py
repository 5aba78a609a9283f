"""Open event streams end when their caller loses access."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from callsheet.access.keys import ApiKeyRequest, create_key, revoke_key
from callsheet.api import stream_access
from callsheet.api.route_access import ROUTE_ACCESS
from callsheet.domain.scopes import Scope

from .conftest import served

ADMIN = {"Authorization": "Bearer 0123456789abcdef-key"}
STREAMS = [path for route in ROUTE_ACCESS for method, path in [route.split(" ")] if path.endswith("/stream")]


@pytest.fixture
async def locked(settings, catalog, monkeypatch):
    """A server whose settings have a key, and which checks streams often."""
    monkeypatch.setattr(stream_access, "CHECK_SECONDS", 0.1)
    async with served(settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")}), catalog) as api:
        yield api


async def new_key(api, *scopes):
    async with api.runtime.database.transaction() as connection:
        key = await create_key(connection, ApiKeyRequest(name="test", scopes=list(scopes)), created_by="test")
    api.app.state.directory.invalidate()
    return key


async def revoke(api, key):
    async with api.runtime.database.transaction() as connection:
        await revoke_key(connection, key.id)
    api.app.state.directory.invalidate()


@asynccontextmanager
async def stream_of(api, path, **options):
    """Open a stream; the value waits for its end and returns whether it ended in time."""
    headers = {"Accept": "text/event-stream", **options.pop("headers", {})}
    async with api.client.stream("GET", path, headers=headers, **options) as response:
        assert response.status_code == 200 and response.headers["content-type"].startswith("text/event-stream"), path
        await anext(chunks := response.aiter_bytes())

        async def ends():
            try:
                async with asyncio.timeout(5):
                    async for _ in chunks:
                        pass
            except TimeoutError:
                return False
            return True

        yield ends


async def test_every_stream_ends_when_its_key_is_revoked(locked):
    execution_id = await submitted(locked)
    paths = [f"/api/executions/{execution_id}/events", f"/api/executions/{execution_id}/logs?follow=true"]
    paths += [f"/console/stream/{execution_id}"]
    paths += [
        path.format(name="test") for path in STREAMS if "{action_id}" not in path and "{execution_id}" not in path
    ]
    assert len(paths) > 8
    for path in paths:
        key = await new_key(locked, Scope.READ, Scope.OPERATE)
        async with stream_of(locked, path, headers={"Authorization": f"Bearer {key.secret}"}) as ends:
            await revoke(locked, key)
            assert await ends(), path


async def submitted(api):
    plan = {"jobs": [{"id": "a", "operation": "noop"}]}
    return (await api.client.post("/api/executions", json=plan, headers=ADMIN)).json()["executionId"]


async def test_a_stream_whose_caller_keeps_access_goes_on(locked):
    execution_id = await submitted(locked)
    key, other = await new_key(locked, Scope.READ), await new_key(locked, Scope.READ)
    headers = {"Authorization": f"Bearer {key.secret}"}

    async with stream_of(locked, f"/api/executions/{execution_id}/events", headers=headers) as ends:
        await revoke(locked, other)
        await asyncio.sleep(0.5)  # sleep: several checks
        await locked.client.post(f"/api/executions/{execution_id}/cancel", headers=ADMIN)
        assert await ends()  # with the end of the execution, which was sent


async def test_a_stream_of_a_session_and_of_a_read_token_end_with_them(locked):
    execution_id = await submitted(locked)
    path = f"/api/executions/{execution_id}/events"
    key = await new_key(locked, Scope.READ)
    logged_in = await locked.client.post("/login", data={"key": key.secret})
    cookie = {"Cookie": logged_in.headers["set-cookie"].partition(";")[0]}
    issued = await locked.client.post(
        f"/api/executions/{execution_id}/tokens", headers={"Authorization": f"Bearer {key.secret}"}
    )
    token = {"Authorization": f"Bearer {issued.json()['token']}"}
    locked.client.cookies.clear()

    async with (
        stream_of(locked, path, headers=token) as token_ends,
        stream_of(locked, path, headers=cookie) as session_ends,
    ):
        session = (await locked.client.get("/api/sessions", headers=ADMIN)).json()["sessions"][0]["id"]
        assert (await locked.client.delete(f"/api/sessions/{session}", headers=ADMIN)).status_code == 204
        assert await session_ends()
        await revoke(locked, key)
        assert await token_ends()
