"""The contract suite of intakes for `celery`, with a real Celery producer."""

import asyncio
from base64 import b64encode
from json import dumps

import pytest
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from tests.integration.intake.celery_producer import producer
from tests.support.redis_server import RedisServer

from callsheet.intake.celery.intake import CeleryIntake
from callsheet.testing.intake_contract import Ended, IntakeContract, IntakeSource

QUEUE, TASK = "plans", "run_plan"


def wire_message(**changes):
    """A message of protocol 2 as it is in the list, with some of its parts replaced."""
    message = {
        "body": b64encode(dumps([[{}], {}, {}]).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": TASK, "id": "broken", "retries": 0},
        "properties": {
            "delivery_tag": "tag",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "body_encoding": "base64",
        },
    }
    return dumps({**message, **changes})


def malformed():
    """Messages that end a plain Celery worker, or keep it from working."""
    whole = {"delivery_tag": "tag", "delivery_info": {"exchange": "", "routing_key": QUEUE}, "body_encoding": "base64"}
    short = b64encode(dumps([[{}], {}]).encode()).decode()
    return [
        wire_message(body=short),
        wire_message(**{"content-type": None}),
        wire_message(headers={"task": TASK}),
        wire_message(headers={}),
        wire_message(headers=None),
        wire_message(properties={key: value for key, value in whole.items() if key != "delivery_tag"}),
        wire_message(properties={key: value for key, value in whole.items() if key != "delivery_info"}),
        wire_message(body=b64encode(b"\x80\x00 no JSON").decode()),
        wire_message(body=b64encode(dumps([["text"], {}, {}]).encode()).decode()),
        "no JSON at all",
        "[]",
        "{}",
    ]


class CelerySource(IntakeSource):
    intake = CeleryIntake

    async def __aenter__(self):
        self._server = await asyncio.to_thread(RedisServer, self.folder / "redis")
        self._app = producer(self._server.url)
        self._client = Redis(port=self._server.port, socket_timeout=60)
        self._plans = {}
        return self

    async def __aexit__(self, *_):
        self._client.close()
        await asyncio.to_thread(self._app.close)
        self._server.close()

    def settings(self):
        return {
            "redis_host": "127.0.0.1",
            "redis_port": self._server.port,
            "celery_queues": QUEUE,
            "celery_tasks": f"{TASK}=plan",
            "celery_visibility_timeout": 3,
        }

    async def send(self, plan):
        result = await asyncio.to_thread(self._app.send_task, TASK, args=[plan], queue=QUEUE)
        self._plans[result.id] = plan
        return result.id

    async def send_malformed(self):
        for message in malformed():
            await asyncio.to_thread(self._client.lpush, QUEUE, message)
        wrong = [["text"], [None], [{"jobs": 7}], []]
        sent = [await asyncio.to_thread(self._app.send_task, TASK, args=args, queue=QUEUE) for args in wrong]
        unknown = await asyncio.to_thread(self._app.send_task, "unknown_task", queue=QUEUE)
        return [*(each.id for each in sent), unknown.id]

    async def ended(self, message_id):
        try:
            result = self._app.AsyncResult(message_id)
            meta = await asyncio.to_thread(result._get_task_meta)
        except (RedisConnectionError, OperationalError):
            return None  # the server is away
        if meta["status"] not in ("SUCCESS", "FAILURE"):
            return None
        return Ended("succeeded" if meta["status"] == "SUCCESS" else "failed", str(meta["result"]), 1)

    async def deliver_again(self, message_id):
        """As Redis does after the visibility timeout."""
        again = self._plans[message_id]
        await asyncio.to_thread(self._app.send_task, TASK, args=[again], queue=QUEUE, task_id=message_id)

    async def stop(self):
        await asyncio.to_thread(self._server.kill)

    async def start(self):
        await asyncio.to_thread(self._server.start)


class TestCelery(IntakeContract):
    source = CelerySource
    reports_once = False

    @pytest.fixture(autouse=True)
    def _database(self, database_url):
        self.database_url = database_url
