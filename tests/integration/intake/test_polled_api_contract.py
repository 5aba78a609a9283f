"""The contract suite of intakes for `polled-api`."""

import asyncio
import itertools

import pytest
from tests.support.task_api import TaskAPI

from callsheet.intake.polled_api.intake import PolledAPIIntake
from callsheet.testing.intake_contract import Ended, IntakeContract, IntakeSource


class PolledAPISource(IntakeSource):
    intake = PolledAPIIntake

    async def __aenter__(self):
        self._api = TaskAPI(lease=2)
        self._ids = map("video-{}".format, itertools.count(1))
        return self

    async def __aexit__(self, *_):
        await asyncio.to_thread(self._api.stop)

    def settings(self):
        return {
            "polled_api_url": self._api.url,
            "polled_api_interval": 0.2,
            "polled_api_mapping": "plan",
            "polled_api_tasks": 50,
        }

    async def send(self, plan):
        return self._api.add({"id": next(self._ids), "plan": plan})

    async def send_malformed(self):
        self._api.weather += [
            (500, b"Internal Server Error"),
            (0, b""),
            (200, b"<!doctype html><title>Sign in</title>"),
            (200, b'{"id": "cut'),
            (200, b"[" * 3000),
            (200, b"7"),
            (200, b'{"plan": {"jobs": []}}'),
            (302, b""),
        ]
        bodies = [{"plan": plan} for plan in (None, 7, [], {}, "text\0", {"jobs": {"a": 1}})]
        return [self._api.add({"id": id, **body}) for id, body in zip(self._ids, bodies, strict=False)] + [
            self._api.add({"id": "a\0/b"})
        ]

    async def ended(self, message_id):
        bodies = self._api.results.get(message_id)
        if not bodies:
            return None
        status = {"COMPLETED": "succeeded", "FAILED": "failed"}[bodies[-1]["status"]]
        return Ended(status, str(bodies[-1]), len(bodies))

    async def deliver_again(self, message_id):
        self._api.deliver_again(message_id)

    async def stop(self):
        await asyncio.to_thread(self._api.stop)

    async def start(self):
        await asyncio.to_thread(self._api.start)


class TestPolledAPI(IntakeContract):
    source = PolledAPISource

    @pytest.fixture(autouse=True)
    def _database(self, database_url):
        self.database_url = database_url
