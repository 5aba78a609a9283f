"""The contract suite of intakes for `redis-streams`."""

import asyncio
import json
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from tests.support.redis_server import RedisServer

from callsheet.intake.redis_streams.intake import RedisStreamsIntake
from callsheet.testing.intake_contract import Ended, IntakeContract, IntakeSource


class StreamSource(IntakeSource):
    intake = RedisStreamsIntake

    async def __aenter__(self):
        self._server = await asyncio.to_thread(RedisServer, self.folder / "redis")
        self._client = Redis(port=self._server.port, decode_responses=True, socket_timeout=60)
        self._entries = {}
        return self

    async def __aexit__(self, *_):
        await self._client.aclose()
        self._server.close()

    def settings(self):
        return {"redis_host": "127.0.0.1", "redis_port": self._server.port, "streams_idle": 2}

    async def send(self, plan):
        nodes = [
            {"id": j["id"], "plane": "python", "task": j["operation"], "params": j.get("params", {})}
            for j in plan["jobs"]
        ]
        job_id = uuid4().hex
        return await self._add(job_id, payload=json.dumps({"jobId": job_id, "nodes": nodes}))

    async def send_malformed(self):
        payloads = ["{", "[]", "null", '{"jobId": "x"}', '{"jobId": "x", "nodes": []}', "[" * 5000, "\x00"]
        await self._client.xadd("process:data", {"unknown": "field"})
        return [await self._add(uuid4().hex, payload=payload) for payload in payloads]

    async def ended(self, message_id):
        try:
            update = await self._client.get(f"last:channel:status:{message_id}")
            pending = await self._client.xpending_range("process:data", "python-workers", "-", "+", 1000)
        except (RedisConnectionError, ResponseError):
            return None  # the server is away, or the intake has not created its group yet
        update = json.loads(update or "{}")
        open_entries = {each["message_id"] for each in pending}
        if update.get("nodeId") or update.get("status") not in ("completed", "failed"):
            return None
        if self._entries[message_id] in open_entries:
            return None
        return Ended("succeeded" if update["status"] == "completed" else "failed", str(update), 1)

    async def deliver_again(self, message_id):
        """As XAUTOCLAIM does, for an entry whose consumer was idle for too long."""
        entry = self._entries[message_id]
        await self._client.xclaim("process:data", "python-workers", "other", 0, [entry], idle=3_600_000)

    async def stop(self):
        await asyncio.to_thread(self._server.kill)

    async def start(self):
        await asyncio.to_thread(self._server.start)

    async def _add(self, job_id, **fields):
        self._entries[job_id] = await self._client.xadd("process:data", {"jobId": job_id, **fields})
        return job_id


class TestRedisStreams(IntakeContract):
    source = StreamSource
    reports_once = False

    @pytest.fixture(autouse=True)
    def _database(self, database_url):
        self.database_url = database_url
