"""The contract suite of intakes for `bullmq`."""

import asyncio

import pytest
from tests.support.node import NodeProgram
from tests.support.redis_server import RedisServer

from callsheet.intake.bullmq.intake import BullMQIntake
from callsheet.testing.intake_contract import Ended, IntakeContract, IntakeSource

QUEUE = "films"


class BullMQSource(IntakeSource):
    intake = BullMQIntake

    async def __aenter__(self):
        self._server = await asyncio.to_thread(RedisServer, self.folder / "redis")
        self._node = await asyncio.to_thread(NodeProgram, "bullmq.mjs", PORT=str(self._server.port), VERSION="6")
        await self._ask("listen")
        return self

    async def __aexit__(self, *_):
        await asyncio.to_thread(self._node.close)
        self._server.close()

    def settings(self):
        return {
            "redis_host": "127.0.0.1",
            "redis_port": self._server.port,
            "bullmq_queues": f"{QUEUE}=plan",
            "bullmq_lock_duration": 2,
        }

    async def send(self, plan):
        return await self._ask("add", data=plan)

    async def send_malformed(self):
        # No client of BullMQ can read these two either.
        for data in ('{"jobs": [', "[" * 3000):
            await self._ask("addBroken", fields={"data": data, "opts": data})
        return [await self._ask("add", data=data) for data in (None, 7, [], {}, "text\0", {"jobs": {"a": 1}})]

    async def ended(self, message_id):
        job = await self._ask("job", id=message_id)
        if job is None or job["state"] not in ("completed", "failed"):
            return None
        events = [event for event in await self._ask("events") if event["jobId"] == message_id]
        reports = sum(event["kind"] in ("completed", "failed") for event in events)
        if job["state"] == "completed":
            return Ended("succeeded", str(job["result"]), reports)
        return Ended("failed", f"{job['failedReason']} {job['stacktrace']}", reports)

    async def deliver_again(self, message_id):
        await self._ask("deliverAgain", id=message_id)

    async def stop(self):
        await asyncio.to_thread(self._server.kill)

    async def start(self):
        await asyncio.to_thread(self._server.start)

    async def _ask(self, do, **request):
        return await asyncio.to_thread(self._node.ask, do, queue=QUEUE, **request)


class TestBullMQ(IntakeContract):
    source = BullMQSource

    @pytest.fixture(autouse=True)
    def _database(self, database_url):
        self.database_url = database_url
