"""The intake `redis-streams`: graphs, the control plane, and the channels."""

import asyncio
import json

import pytest
from redis.asyncio import Redis

from callsheet.intake.redis_streams.intake import RedisStreamsIntake


@pytest.fixture
def settings(settings, redis_server):
    return settings.model_copy(update={"redis_port": redis_server.port, "redis_host": "127.0.0.1"})


@pytest.fixture
async def redis(redis_server):
    client = Redis(port=redis_server.port, decode_responses=True, socket_timeout=60)
    yield client
    await client.aclose()


def node(id, task="noop", plane="python", **fields):
    return {"id": id, "plane": plane, "task": task, **fields}


async def add(redis, *nodes, job_id="job-1", **graph):
    await redis.xadd(
        "process:data", {"jobId": job_id, "payload": json.dumps({"jobId": job_id, "nodes": nodes, **graph})}
    )


async def status_of(redis, job_id="job-1"):
    """Wait for the final status of a graph."""
    async with asyncio.timeout(60):
        while True:
            update = json.loads(await redis.get(f"last:channel:status:{job_id}") or "{}")
            if update.get("nodeId") is None and update.get("status") in ("completed", "failed"):
                return update
            await asyncio.sleep(0.05)


async def handed_over(redis):
    """Wait for an entry of the control plane, and return its graph."""
    async with asyncio.timeout(60):
        while not (entries := await redis.xrange("process:control")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    ((_, fields),) = entries
    return json.loads(fields["payload"])


async def test_a_graph_runs_in_order_and_outputs_become_inputs(redis, start_intake):
    await start_intake(RedisStreamsIntake)
    await add(
        redis,
        node("a", params={"value": "first"}),
        node("b", inputs={"value": "a.value"}),
        node("c", dependsOn=["b"], inputs={"value": "b.value"}, note="kept"),
    )
    assert (await status_of(redis))["status"] == "completed"
    graph = json.loads(await redis.get("job:job-1"))
    assert [each["status"] for each in graph["nodes"]] == ["completed"] * 3
    assert [each["output"] for each in graph["nodes"]] == [{"value": "first"}] * 3
    assert graph["nodes"][2]["note"] == "kept"
    assert graph["status"] == "completed"
    assert await redis.xrange("process:control") == []


async def test_a_graph_goes_to_the_control_plane_when_no_node_of_this_plane_is_left(engine, redis, start_intake):
    await start_intake(RedisStreamsIntake)
    await add(
        redis,
        node("a", params={"value": 1}),
        node("ask", plane="node", task="llm", dependsOn=["a"]),
        node("b", inputs={"value": "ask.text"}),
    )
    graph = await handed_over(redis)
    assert [each["status"] for each in graph["nodes"]] == ["completed", "pending", "pending"]
    # The control plane completes its node, and sends the graph back: a second visit.
    graph["nodes"][1] |= {"status": "completed", "output": {"text": "from the model"}}
    await redis.xadd("process:data", {"jobId": "job-1", "payload": json.dumps(graph)})
    assert (await status_of(redis))["status"] == "completed"
    graph = json.loads(await redis.get("job:job-1"))
    assert graph["nodes"][2]["output"] == {"value": "from the model"}
    async with engine.runtime.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM executions") == 2


async def test_a_failed_node_fails_the_graph_with_its_error(redis, start_intake):
    await start_intake(RedisStreamsIntake)
    await add(
        redis,
        node("a", "fail", params={"times": 9, "message": "out of memory", "transient": False}),
        node("b", dependsOn=["a"]),
    )
    update = await status_of(redis)
    assert update["status"] == "failed" and "out of memory" in update["error"]
    graph = json.loads(await redis.get("job:job-1"))
    assert [each["status"] for each in graph["nodes"]] == ["failed", "pending"]


async def test_progress_status_and_data_are_published_and_the_last_ones_are_kept(redis, start_intake):
    seen = []

    async def listen(pubsub):
        async for message in pubsub.listen():
            if message["type"] == "pmessage":
                seen.append((message["channel"], json.loads(message["data"])))

    async with redis.pubsub() as pubsub:
        await pubsub.psubscribe("channel:*")
        listening = asyncio.create_task(listen(pubsub))
        await start_intake(RedisStreamsIntake)
        await add(redis, node("n/1", "report-progress", params={"reports": 3, "pause": 0.7}))
        await status_of(redis)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    progress = [update["progress"] for channel, update in seen if channel == "channel:progress:job-1"]
    statuses = [(u["nodeId"], u["status"]) for channel, u in seen if channel == "channel:status:job-1"]
    data = [(u["nodeId"], u["data"]) for channel, u in seen if channel == "channel:data:job-1"]
    assert progress and progress == sorted(progress)
    assert statuses == [("n/1", "running"), ("n/1", "completed"), (None, "completed")]
    assert data == [("n/1", {"value": 3})]
    assert await redis.ttl("last:channel:status:job-1") > 0
    assert json.loads(await redis.get("last:channel:progress:job-1"))["nodeId"] == "n/1"


async def test_the_capabilities_are_an_output(redis, start_intake):
    await start_intake(RedisStreamsIntake)
    await add(redis, node("what", "get_capabilities"))
    assert (await status_of(redis))["status"] == "completed"
    manifest = json.loads(await redis.get("job:job-1"))["nodes"][0]["output"]
    assert manifest["plane"] == "python"
    assert "noop" in [task["name"] for task in manifest["tasks"]]


async def test_an_invalid_graph_is_kept_with_all_its_problems(redis, start_intake):
    await start_intake(RedisStreamsIntake)
    await add(redis, node("a", "nothing"), node("b", dependsOn=["missing"]), node("b"))
    assert (await status_of(redis))["status"] == "failed"
    ((_, fields),) = await redis.xrange("process:data:dead")
    assert "'b' is used twice" in fields["reason"] and "'missing'" in fields["reason"]
    assert json.loads(fields["payload"])["jobId"] == "job-1"


async def test_an_entry_without_a_graph_uses_the_stored_one(redis, start_intake):
    await redis.set("job:job-1", json.dumps({"jobId": "job-1", "nodes": [node("a", params={"value": 1})]}))
    await redis.xadd("process:data", {"jobId": "job-1"})
    await start_intake(RedisStreamsIntake)
    assert (await status_of(redis))["status"] == "completed"
