"""Status push: a real API of a product receives the status of each job of BullMQ, whatever fails in between."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from bullmq import Job, Queue
from pydantic import SecretStr
from tests.support.product_api import ProductAPI

from callsheet.db.statements import Statement
from callsheet.engine.intake_messages import MessageKey, OpenMessage
from callsheet.intake.bullmq.intake import BullMQIntake
from callsheet.testing.intake_process import CRASH_VARIABLE

QUEUE = "films"


@pytest.fixture
def product():
    api = ProductAPI()
    yield api
    api.stop()


@pytest.fixture
def settings(settings, redis_server, product):
    return settings.model_copy(
        update={
            "redis_port": redis_server.port,
            "redis_host": "127.0.0.1",
            "bullmq_queues": f"{QUEUE}=plan",
            "bullmq_lock_duration": timedelta(seconds=5),
            "intake_lease": timedelta(seconds=2),
            "status_push_url": product.url,
            "status_push_timeout": timedelta(seconds=3),
        }
    )


@pytest.fixture
async def queue(redis_server):
    queue = Queue(QUEUE, {"connection": {"host": "127.0.0.1", "port": redis_server.port, "socket_timeout": 60}})
    yield queue
    await queue.close()


def plan(operation="noop", **params):
    return {"jobs": [{"id": "a", "operation": operation, "params": params}]}


async def received(product, condition):
    await asyncio.to_thread(product.wait, condition)


async def add(queue, data, **options):
    return (await queue.add("job", data, options)).id


async def test_the_api_receives_the_start_and_the_result_that_bullmq_receives(product, queue, start_intake):
    await start_intake(BullMQIntake)
    id = await add(queue, plan("write"))
    await received(product, lambda: len(product.bodies(id)) == 2)
    first, last = product.bodies(id)
    assert first == {"status": "running"}
    assert last["status"] == "succeeded"
    job = await until_ended(queue, id)
    assert last["result"] == job.returnvalue
    assert [each["name"] for each in last["result"]["artifacts"]] == ["note.txt"]


async def test_the_id_is_that_of_the_product_and_the_token_is_sent(settings, product, queue, engine, start_intake):
    engine.runtime.settings.status_push_token = SecretStr("open-sesame")
    await start_intake(BullMQIntake)
    await add(queue, {"jobId": "order 7/b", "executionPlan": plan()})
    await received(product, lambda: product.accepted().get("order%207%2Fb") == ["running", "succeeded"])
    assert product.headers[0]["Authorization"] == "Bearer open-sesame"


async def test_a_failure_has_the_error_and_an_attempt_that_is_repeated_is_none(product, queue, start_intake):
    await start_intake(BullMQIntake)
    data = plan("fail", times=9, message="out of paint", transient=False)
    id = await add(queue, data, attempts=3, backoff={"type": "fixed", "delay": 50})
    await received(product, lambda: any(body["status"] == "failed" for body in product.bodies(id)))
    assert product.accepted()[id] == ["running", "running", "running", "failed"]
    assert "out of paint (job a)" in product.bodies(id)[-1]["error"]
    assert product.bodies(id)[-1]["result"]["message"] == product.bodies(id)[-1]["error"]


async def test_an_invalid_job_fails_with_its_problems(product, queue, start_intake):
    await start_intake(BullMQIntake)
    id = await add(queue, {"jobs": [{"id": "a", "operation": "no-such-operation\0"}]}, attempts=4)
    await received(product, lambda: len(product.bodies(id)) == 1)
    (body,) = product.bodies(id)
    assert body["status"] == "failed"
    assert [problem["path"] for problem in body["result"]["problems"]] == ["jobs[0].operation"]


async def test_a_cancelled_execution_is_a_failure_for_good(engine, product, queue, start_intake):
    await start_intake(BullMQIntake)
    id = await add(queue, plan("sleep", seconds=60), attempts=4)
    await received(product, lambda: product.accepted().get(id) == ["running"])
    await engine.cancel(await value(engine, "SELECT id FROM executions"))
    await received(product, lambda: product.accepted().get(id) == ["running", "failed"])
    assert product.bodies(id)[-1]["error"] == "cancelled"


async def test_statuses_wait_for_an_api_that_is_down_and_arrive_in_order(engine, product, queue, start_intake):
    """The jobs end in BullMQ meanwhile."""
    product.stop()
    await start_intake(BullMQIntake)
    ids = [await add(queue, plan(value=n)) for n in range(20)]
    for id in ids:
        assert (await until_ended(queue, id)).returnvalue["status"] == "succeeded"
    await until_value(engine, "SELECT sum(attempts) >= 4 FROM status_pushes", True)
    # Closed a moment after their end in BullMQ.
    await until_value(engine, "SELECT count(*) FROM intake_messages WHERE closed_at IS NULL", 0)
    product.start()
    await received(product, lambda: sum(map(len, product.accepted().values())) == 40)
    assert product.accepted() == {id: ["running", "succeeded"] for id in ids}


async def test_an_unknown_job_is_given_up_at_once_and_others_go_on(engine, product, queue, start_intake):
    product.respond = lambda job, _: 404 if job == "unknown" else 200
    await start_intake(BullMQIntake)
    await add(queue, {"jobId": "unknown", "executionPlan": plan()})
    id = await add(queue, plan())
    await received(product, lambda: product.accepted().get(id) == ["running", "succeeded"])
    query = "SELECT count(*) FROM status_pushes WHERE product_id = 'unknown' AND failed_at IS NOT NULL AND attempts = 1"
    await until_value(engine, query, 2)
    assert await value(engine, "SELECT min(last_response) FROM status_pushes WHERE failed_at IS NOT NULL") == (
        "404 Not Found"
    )


async def test_errors_of_the_server_are_repeated_and_keep_the_order_of_a_job(product, queue, start_intake):
    seen = Counter()

    def respond(job, body):
        seen[job, body["status"]] += 1
        return 500 if body["status"] == "running" and seen[job, "running"] <= 2 else 200

    product.respond = respond
    await start_intake(BullMQIntake)
    id = await add(queue, plan())
    await received(product, lambda: len(product.accepted().get(id, [])) == 2)
    assert [body["status"] for body in product.bodies(id)] == ["running", "running", "running", "succeeded"]


async def test_a_push_that_keeps_failing_is_given_up_after_its_time(engine, product, queue, start_intake):
    engine.runtime.settings.status_push_retry_for = timedelta(seconds=2)
    product.respond = lambda job, body: 503 if body["status"] == "running" else 200
    await start_intake(BullMQIntake)
    id = await add(queue, plan())
    await received(product, lambda: product.accepted().get(id) == ["succeeded"])
    rows = await fetch(
        engine, "SELECT status, attempts, failed_at IS NOT NULL AS failed FROM status_pushes ORDER BY number"
    )
    # The third attempt is the last one on a machine that is not slow.
    assert [(row["status"], row["failed"]) for row in rows] == [("running", True), ("succeeded", False)]
    assert rows[0]["attempts"] >= 2


async def test_a_slow_api_delays_no_job_and_a_timeout_is_repeated(engine, product, queue, start_intake):
    slow = iter([30.0])

    def respond(_job, _body):
        time.sleep(next(slow, 0))  # sleep: the API is slow
        return 200

    product.respond = respond
    await start_intake(BullMQIntake)
    ids = [await add(queue, plan(value=n)) for n in range(5)]
    for id in ids:
        await until_ended(queue, id)
    await received(product, lambda: sum(map(len, product.accepted().values())) == 10)
    assert product.accepted() == {id: ["running", "succeeded"] for id in ids}
    query = "SELECT count(*) FROM status_pushes WHERE attempts > 1"
    assert await value(engine, query) == 1


@pytest.mark.parametrize(
    "point", ["status not stored", "status not claimed", "status sent", "after the end is reported"]
)
async def test_a_process_that_is_killed_loses_no_status(settings, product, queue, engine, start_intake, point):
    id = await add(queue, plan())
    process = await start_process(settings, point)
    assert await asyncio.wait_for(asyncio.to_thread(process.wait), 90) == -signal.SIGKILL
    if point == "status sent":
        # Until then its lease lasts.
        await fetch(engine, "UPDATE status_pushes SET due_at = now()")
    await start_intake(BullMQIntake)
    await received(product, lambda: "succeeded" in product.accepted().get(id, []))
    statuses = product.accepted()[id]
    # A repeated status is allowed, another order is not.
    assert list(dict.fromkeys(statuses)) == ["running", "succeeded"]
    assert statuses == sorted(statuses, key=["running", "succeeded"].index)
    assert (await until_ended(queue, id)).returnvalue["status"] == "succeeded"


async def test_without_an_api_nothing_is_stored(engine, queue, start_intake):
    engine.runtime.settings.status_push_url = None
    await start_intake(BullMQIntake)
    await until_ended(queue, await add(queue, plan()))
    assert await value(engine, "SELECT count(*) FROM status_pushes") == 0


async def test_open_messages_cost_no_statements(engine, product, start_intake, monkeypatch):
    """10,000 statuses are stored in groups. Those that wait for an API that is down cost a few statements a second."""
    product.stop()
    runner, _ = await start_intake(BullMQIntake)
    pushes = runner._pushes
    key = MessageKey("bullmq", QUEUE, "0")
    messages = [OpenMessage(replace(key, message_id=str(n)), uuid4(), {}, product_id=str(n)) for n in range(10_000)]
    counted = Counter()
    execute = Statement.__call__

    async def counting(statement, connection, **values):
        counted[statement.name] += 1
        return await execute(statement, connection, **values)

    monkeypatch.setattr(Statement, "__call__", counting)
    await asyncio.gather(*(pushes.started(each) for each in messages))
    await asyncio.gather(*(pushes.started(each) for each in messages))
    assert counted["record_status_pushes"] <= 60
    assert await value(engine, "SELECT count(*) FROM status_pushes") == 10_000
    await until_value(engine, "SELECT sum(attempts) >= 97 FROM status_pushes", True)
    counted.clear()
    await asyncio.sleep(3)  # sleep: the statements in this time are counted
    assert counted["claim_status_pushes"] + counted["record_status_push_attempts"] <= 12
    assert counted["record_status_pushes"] == 0


async def start_process(settings, point):
    values = settings.model_dump(mode="json", exclude_unset=True) | {
        "database_url": settings.database_url.get_secret_value(),
        "bullmq_lock_duration": 5,
        "intake_lease": 2,
        "status_push_timeout": 3,
    }
    environment = {f"CALLSHEET_{name.upper()}": str(value) for name, value in values.items()}
    return await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "callsheet.testing.intake_process", "callsheet.intake.bullmq.intake:BullMQIntake"],
        env={**os.environ, **environment, "REDIS_PORT": str(settings.redis_port), CRASH_VARIABLE: point},
    )


async def until_ended(queue, id):
    for _ in range(4500):
        job = await Job.fromId(queue, id)
        if job is not None and job.finishedOn:
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(f"job {id} has not ended")


async def fetch(engine, query):
    async with engine.runtime.database.connection() as connection:
        return await connection.fetch(query)


async def value(engine, query):
    return (await fetch(engine, query))[0][0]


async def until_value(engine, query, expected):
    for _ in range(900):
        if await value(engine, query) == expected:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{query}: {await value(engine, query)}")
