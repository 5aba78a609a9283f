"""A web server on a real socket, with a runtime for each test."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx2
import pytest

from callsheet.api.app import create_app
from callsheet.api.server import make_server
from callsheet.testing.engine import Engine
from callsheet.wiring import open_runtime

from .documented_statuses import check_documented


@dataclass
class Api:
    """A server, its client and its engine."""

    client: httpx2.AsyncClient
    engine: Engine
    app: object
    server: object

    @property
    def runtime(self):
        return self.engine.runtime

    async def submit(self, *jobs, **fields):
        """Submit jobs given as (id, operation, params); return the execution id."""
        plan = [{"id": name, "operation": operation, "params": params} for name, operation, params in jobs]
        response = await self.client.post("/api/executions", json={"executionPlan": {"jobs": plan}, **fields})
        assert response.status_code == 202, response.text
        return response.json()["executionId"]

    async def event(self, execution_id, kind, **more):
        """Wait for the first event of a type."""
        return await self.engine.wait(UUID(execution_id), kind, **more)

    async def ended(self, execution_id):
        """Wait until an execution has ended; return it as the API returns it."""
        await self.engine.ended(UUID(execution_id))
        return (await self.client.get(f"/api/executions/{execution_id}")).json()


@asynccontextmanager
async def served(settings, catalog, *, providers=(), provider_settings=()):
    """Serve a runtime on `settings.port` until the block ends; 0 is a free port."""
    # The listener keeps the port: a port that was only probed may be taken by a test of another process.
    listener = _RESERVED.pop(settings.port, None) or socket.create_server((settings.host, settings.port))
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    async with open_runtime(
        settings, catalog, extra_providers=providers, provider_settings=provider_settings
    ) as runtime:
        app = create_app(runtime)
        server = make_server(app, settings)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(20):
                while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.005)
            base = f"http://127.0.0.1:{settings.port}"
            engine = Engine(runtime)
            hooks = {"response": [check_documented(app)]}
            async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=20, event_hooks=hooks) as client:
                yield Api(client, engine, app, server)
            for worker in list(engine.workers):
                await engine.stop_worker(worker)
        finally:
            server.stop()
            await serving
            listener.close()


_RESERVED = {}
"""Port → its listener, until a server takes it."""


def free_port():
    """Return a port that stays reserved until `served` uses it."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    _RESERVED[port] = listener
    return port


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"port": free_port()})


@pytest.fixture
def served_with(settings, catalog):
    """A function that serves with some settings changed: `async with served_with(max_connections=3) as api`."""
    return lambda **changed: served(settings.model_copy(update=changed), catalog)


@pytest.fixture
async def api(settings, catalog):
    """A server without an API key and without a worker."""
    async with served(settings, catalog) as api:
        yield api


@pytest.fixture
async def working(api):
    """A server with a worker beside it."""
    await api.engine.start_worker()
    return api


@dataclass
class Message:
    """A message of an event stream."""

    id: int
    event: str
    data: dict


async def messages_of(response):
    """Yield the messages of an event stream; comments are skipped."""
    fields = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line == "" and "data" in fields:
            yield Message(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        fields = {} if line == "" else fields | {name: value}


def codes(response):
    """Return the path and code of every problem."""
    return {(error["path"], error["code"]) for error in response.json()["errors"]}
