"""The intake `celery` with real producers: results, progress, chains, chords, revoke, inspect, and Flower."""

import asyncio
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from datetime import timedelta

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from redis import Redis
from tests.integration.intake.celery_producer import producer

from callsheet.intake.celery.intake import CeleryIntake
from callsheet.operation_api.catalog import discover
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

QUEUE, TASK = "plans", "run_plan"
SEED_TASKS = {
    *("render_video_task", "generate_preview_task", "transcode_task", "caption_task", "cleanup_task"),
    *("monitor_resources_task", "process_hubspot_webhook", "monitor_fatigue", "monitor_all_ads_fatigue"),
    "auto_index_winner",
}


class Broker:
    """A producer and a client of its Redis, used from threads: the event loop also runs the worker."""

    def __init__(self, url):
        self.url = url
        self.app = producer(url)
        self.client = Redis.from_url(url, decode_responses=True, socket_timeout=60)

    def signature(self, operation, *, task=TASK, **params):
        plan = {"jobs": [{"id": "a", "operation": operation, "params": params}]}
        return self.app.signature(task, args=[plan], queue=QUEUE)

    async def send(self, operation, **params):
        return await asyncio.to_thread(self.signature(operation, **params).apply_async)

    async def inspect(self, method):
        def ask():
            # A worker that has just started does not reply yet. The first reply ends the wait: there is one worker.
            return getattr(self.app.control.inspect(timeout=2, limit=1), method)()

        [found] = (await until(lambda: asyncio.to_thread(ask), timeout=60)).values()
        return found


@pytest.fixture
async def broker(redis_server):
    broker = Broker(redis_server.url)
    yield broker
    broker.client.close()
    await asyncio.to_thread(broker.app.close)


@pytest.fixture
def settings(settings, redis_server, tmp_path):
    return settings.model_copy(
        update={
            "redis_port": redis_server.port,
            "redis_host": "127.0.0.1",
            "celery_queues": f"{QUEUE},render_queue,preview_queue,transcode_queue,hubspot-webhook-events",
            "celery_tasks": f"{TASK}=plan",
            "celery_visibility_timeout": timedelta(seconds=3),
            "source_roots": [tmp_path / "data" / "files"],
        }
    )


async def get(result, timeout=90):
    return await asyncio.to_thread(result.get, timeout=timeout)


async def state_of(result):
    return await asyncio.to_thread(lambda: result.state)


async def until_state(result, state):
    async def reached():
        return await state_of(result) == state

    await until(reached, timeout=60)


@pytest.fixture
async def engine(request, settings):
    """An engine with the operations of `callsheet.testing`, or with the installed ones."""
    operations = ALL if getattr(request, "param", None) is None else discover().operations()
    async with running_engine(operations, settings=settings) as engine:
        yield engine


@pytest.mark.parametrize("engine", ["installed operations"], indirect=True)
async def test_the_tasks_of_the_earlier_system_run_with_their_payload(engine, settings, broker, start_intake):
    """Its payload, a chain that hands the film on, a chord that joins films, and a clean-up of the disk."""
    await start_intake(CeleryIntake)

    def task(name, queue, payload):
        return broker.app.signature(name, args=[payload] if payload is not None else [], queue=queue)

    def film(**payload):
        output = {"output_format": {"width": 160, "height": 90, "fps": 25}}
        return task("render_video_task", "render_queue", {**payload, **output})

    def made(seconds):
        return film(scenes=[{"color": "navy", "duration": seconds}])

    clip = await get(await asyncio.to_thread(made(1).apply_async))
    path = str(settings.data_dir / "files" / clip["key"])
    seed = film(scenes=[{"video_path": path}, {"video_path": path}], use_gpu=True)
    result = await asyncio.to_thread(seed.apply_async)
    value = await get(result)
    assert value["status"] == "succeeded" and "/files/" in value["url"]
    assert value["results"]["render"]["duration"] == 2
    assert json.loads(broker.client.get(f"task_status:{result.id}"))["progress"] == 100

    steps = chain(
        made(1),
        task("transcode_task", "transcode_queue", {"resolution": "240p"}),
        task("generate_preview_task", "preview_queue", {"count": 2}),
    )
    previews = await get(await asyncio.to_thread(steps.apply_async))
    assert [each["mediaType"] for each in previews["artifacts"]] == ["image/jpeg", "image/jpeg"]

    joined = await get(await asyncio.to_thread(chord([made(1), made(2)], film()).apply_async))
    assert joined["results"]["render"]["duration"] == 3

    deal = {"dealId": "deal_123", "stageTo": "closedwon", "dealValue": 10000, "tenantId": "tenant_1"}
    hubspot = task("process_hubspot_webhook", "hubspot-webhook-events", deal)
    attributed = (await get(await asyncio.to_thread(hubspot.apply_async)))["results"]["attribute-deal"]
    assert (attributed["stage"], attributed["syntheticRevenue"]) == ("closedwon", "10000.00")

    steps = chain(hubspot, task("process_hubspot_webhook", "hubspot-webhook-events", {**deal, "stageTo": "closedlost"}))
    lost = (await get(await asyncio.to_thread(steps.apply_async)))["results"]["attribute-deal"]
    assert (lost["stage"], lost["syntheticRevenue"]) == ("closedlost", "0.00")

    monitor = task("monitor_resources_task", "preview_queue", None)
    result = await asyncio.to_thread(monitor.apply_async)
    machine = await get(result)
    assert 0 <= machine["cpu"]["percent"] <= 100 and machine["cpu"]["count"] >= 1
    assert machine["memory"]["available"] <= machine["memory"]["total"]
    assert machine["disk"]["free"] <= machine["disk"]["total"]
    assert isinstance(machine["gpu"]["available"], bool)
    assert machine["results"]["watch-resources"]["at"] == machine["at"]
    assert json.loads(broker.client.get(f"task_status:{result.id}"))["progress"] == 100

    await until(lambda: first_clean_up(engine), timeout=60)
    left = engine.runtime.settings.scratch_dir / "left"
    left.mkdir(parents=True, exist_ok=True)
    (left / "part.mp4").write_bytes(bytes(10_000))
    for path in (left / "part.mp4", left):
        os.utime(path, (0, 0))
    cleanup = task("cleanup_task", "preview_queue", {"max_age_days": 7})
    cleaned = await get(await asyncio.to_thread(cleanup.apply_async))
    assert (cleaned["removedFiles"], cleaned["failures"], left.exists()) == (1, [], False)
    assert cleaned["results"]["clean-up-disk"]["removedBytes"] == cleaned["removedBytes"] >= 10_000


async def first_clean_up(engine):
    """Return whether the worker has cleaned its disk for the first time."""
    async with engine.runtime.database.connection() as connection:
        return await connection.fetchval("SELECT count(*) > 0 FROM scratch_spaces")


async def test_an_execution_longer_than_the_visibility_timeout_runs_once_and_is_visible(
    engine, broker, start_intake, tmp_path
):
    """It holds no slot of the worker; `inspect` shows it; progress is stored and published."""
    await start_intake(CeleryIntake)
    channel = broker.client.pubsub()
    await asyncio.to_thread(channel.psubscribe, "task_progress:*")
    began, gate, starts = time.monotonic(), tmp_path / "gate", tmp_path / "starts"
    result = await broker.send("block", until=str(gate), started=str(starts))
    await until_state(result, "PROGRESS")
    await until(starts.exists, timeout=60)

    assert SEED_TASKS | {TASK} <= set(await broker.inspect("registered"))
    [active] = await broker.inspect("active")
    assert (active["id"], active["name"], active["acknowledged"]) == (result.id, TASK, True)
    assert (await broker.inspect("stats"))["pool"]["implementation"].endswith("TaskPool")
    assert await broker.inspect("ping") == {"ok": "pong"}
    assert broker.client.hlen("unacked") == 0

    await asyncio.sleep(15 - (time.monotonic() - began))  # sleep: the length of the outage
    gate.touch()
    assert (await get(result))["status"] == "succeeded"
    assert len(starts.read_text().splitlines()) == 1
    async with engine.runtime.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM executions") == 1
    await until(lambda: broker.client.get(f"task_status:{result.id}").count('"succeeded"') == 1, timeout=30)
    published = []
    while message := channel.get_message(timeout=1):
        if message["type"] == "pmessage":
            published.append(json.loads(message["data"]))
    assert {each["task_id"] for each in published} == {result.id}
    assert [each["status"] for each in published][-1] == "succeeded"
    assert published[-1]["progress"] == 100
    channel.close()
    assert await broker.inspect("active") == []


async def test_a_task_for_a_time_beyond_the_visibility_timeout_runs_once_and_not_before(
    engine, broker, start_intake, tmp_path
):
    """The broker may deliver it again while the worker holds it for its `eta`: the timeout is 3 s."""
    await start_intake(CeleryIntake)
    starts, gate = tmp_path / "starts", tmp_path / "gate"
    gate.touch()
    signature = broker.signature("block", until=str(gate), started=str(starts))
    sent = time.monotonic()
    result = await asyncio.to_thread(signature.apply_async, countdown=7)

    value = await get(result)
    waited = time.monotonic() - sent
    # A task behind it: a second delivery, due at the same time, would have been taken before.
    assert (await get(await broker.send("noop", value=1)))["status"] == "succeeded"
    async with engine.runtime.database.connection() as connection:
        jobs = await connection.fetchval("SELECT count(*) FROM execution_jobs WHERE operation = 'block'")

    assert (value["status"], jobs, len(starts.read_text().splitlines())) == ("succeeded", 1, 1)
    assert waited >= 6.9


async def test_chains_chords_groups_and_callbacks_go_on_after_the_executions(broker, start_intake):
    await start_intake(CeleryIntake)
    plan = broker.signature
    result = await asyncio.to_thread(chain(plan("noop", value=1), plan("noop", value=2)).apply_async)
    assert (await get(result))["results"] == {"a": {"value": 2}}
    assert (await get(result.parent))["results"] == {"a": {"value": 1}}

    both = await asyncio.to_thread(group(plan("noop", value=1), plan("noop", value=2)).apply_async)
    assert [each["results"]["a"]["value"] for each in await get(both)] == [1, 2]

    called = await asyncio.to_thread(
        chord([plan("noop", value=n) for n in range(3)], plan("noop", value=9)).apply_async
    )
    assert (await get(called))["results"] == {"a": {"value": 9}}

    callback = plan("noop", value="linked").set(task_id="the-callback")
    await asyncio.to_thread(plan("noop", value=1).apply_async, link=callback)
    assert (await get(broker.app.AsyncResult("the-callback")))["results"] == {"a": {"value": "linked"}}


async def test_a_failure_fails_the_chain_and_the_chord_and_calls_the_errback(broker, start_intake):
    await start_intake(CeleryIntake)
    fails, plan = broker.signature("fail", message="out of paint"), broker.signature
    result = await asyncio.to_thread(chain(fails, plan("noop", value=2)).apply_async)
    with pytest.raises(RuntimeError, match=r"out of paint \(job a\)"):
        await get(result)
    assert "at fail (job a, attempt 1)" in result.parent.traceback

    called = await asyncio.to_thread(chord([plan("noop"), fails], plan("noop", value=9)).apply_async)
    with pytest.raises(Exception, match="out of paint"):
        await get(called)

    errback = broker.app.signature("errors", queue="elsewhere")
    failed = await asyncio.to_thread(fails.apply_async, link_error=errback)
    item = await asyncio.to_thread(broker.client.brpop, "elsewhere", timeout=60)
    assert json.loads(item[1])["headers"]["parent_id"] == failed.id


async def test_revoke_cancels_the_execution(engine, broker, start_intake, tmp_path):
    await start_intake(CeleryIntake)
    result = await broker.send("block", until=str(tmp_path / "never"))
    await until_state(result, "PROGRESS")
    await asyncio.to_thread(result.revoke, terminate=True)
    with pytest.raises(TaskRevokedError):
        await get(result)
    assert await state_of(result) == "REVOKED"
    async with engine.runtime.database.connection() as connection:
        assert await connection.fetchval("SELECT status::text FROM executions") == "cancelled"


async def test_unreadable_messages_go_to_a_dead_list_and_the_worker_lives(broker, start_intake):
    """A body of two elements ends a plain Celery worker, again and again."""
    await start_intake(CeleryIntake)
    first = await broker.inspect("stats")
    message = {
        "body": b64encode(json.dumps([[], {}]).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": TASK, "id": "short"},
        "properties": {"delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": QUEUE}}
        | {"body_encoding": "base64"},
    }
    items = [json.dumps(message), "no JSON at all", "{}"]
    for item in items:
        broker.client.lpush(QUEUE, item)
    good = await broker.send("noop", value=1)
    assert (await get(good))["status"] == "succeeded"
    assert broker.client.lrange(f"{QUEUE}:dead", 0, -1) == items[::-1]
    assert (await broker.inspect("stats"))["pid"] == first["pid"]


async def test_flower_shows_the_tasks_to_its_user_only(broker, start_intake):
    await start_intake(CeleryIntake)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flower = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "celery", "-A", "callsheet.intake.celery", "flower"),
        *("--address=127.0.0.1", f"--port={port}", "--basic-auth=admin:s3cret"),
        env={**os.environ, "REDIS_URL": broker.url, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:

        async def is_closed_to_others():
            status, _ = await ask_flower(port, "tasks")
            return status == 401

        await until(is_closed_to_others, timeout=60)
        assert await broker.inspect("ping") == {"ok": "pong"}
        _, workers = await ask_flower(port, "workers?refresh=1", "admin:s3cret")
        assert [TASK in each["registered"] for each in workers.values()] == [True]
        done, failed = await broker.send("noop", value=1), await broker.send("fail", message="out of paint")
        await get(done)

        async def is_shown():
            _, tasks = await ask_flower(port, "tasks", "admin:s3cret")
            return [tasks.get(each.id, {}).get("state") for each in (done, failed)] == ["SUCCESS", "FAILURE"]

        await until(is_shown, timeout=60)
        _, task = await ask_flower(port, f"task/info/{failed.id}", "admin:s3cret")
        assert task["name"] == TASK and "out of paint" in task["exception"]
        assert task["worker"] in workers
    finally:
        flower.terminate()
        await flower.wait()


async def ask_flower(port, path, login=None):
    """Return the status and the JSON of a response; 0 if it does not respond yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/{path}")
    if login is not None:
        request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())

    def ask():
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, None
        except urllib.error.URLError:
            return 0, None

    return await asyncio.to_thread(ask)
