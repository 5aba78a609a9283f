"""The Redis client of the intakes, and what they take from queues, against a real server."""

import asyncio
import json
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from callsheet.intake.bullmq.queue import BullQueue
from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.pipelined_redis import PipelinedRedis
from callsheet.intake.redis_streams.config import WorkerConfiguration
from callsheet.intake.redis_streams.graph import read_graph
from callsheet.intake.redis_streams.messages import DataUpdate, StatusUpdate
from callsheet.intake.redis_streams.stream import GraphStream
from callsheet.testing.waiters import until


@pytest.fixture
async def redis(redis_server):
    client = Redis(port=redis_server.port, decode_responses=True, socket_timeout=60)
    yield client
    await client.aclose()


@pytest.fixture
async def stream(redis_server):
    connection = {"port": redis_server.port, "socket_timeout": 60}
    stream = GraphStream(WorkerConfiguration(), connection, consumer="me", idle=0.5)
    yield stream
    await stream.close()


async def test_each_concurrent_caller_gets_its_own_reply_or_error(redis_server):
    client = PipelinedRedis(port=redis_server.port, decode_responses=True)
    await client.set("text", "not a list")
    calls = [client.echo("first"), client.llen("text"), *(client.echo(str(number)) for number in range(250))]
    first, error, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(error, ResponseError)
    assert [first, *others] == ["first", *map(str, range(250))]
    await client.aclose()


async def test_jobs_that_were_taken_together_and_given_back_are_taken_again(redis, redis_server):
    queue = BullQueue("films", prefix="bull", lock_duration=30, connection={"port": redis_server.port})
    for number in range(3):
        await redis.hset(f"bull:films:{number}", mapping={"name": "job", "data": "{}", "opts": "{}", "timestamp": "1"})
        await redis.lpush("bull:films:wait", number)
    jobs = await queue.take(5)
    assert [job.id for job in jobs] == ["0", "1", "2"]
    assert len({job.token for job in jobs}) == 3
    await asyncio.gather(*(queue.give_back(job.id, job.token) for job in jobs))
    assert await redis.llen("bull:films:active") == 0
    again = await queue.take(5)
    assert {job.id for job in again} == {"0", "1", "2"}
    assert {job.attemptsMade for job in again} == {0}
    await queue.close()


async def test_a_log_line_of_a_removed_job_leaves_no_key(redis, redis_server):
    queue = BullQueue("films", prefix="bull", lock_duration=30, connection={"port": redis_server.port})
    await queue.add_log("gone", ["a line"])
    assert await redis.keys("*") == []
    await queue.close()


async def test_the_entry_of_a_dead_consumer_is_found_behind_many_open_ones(redis, stream):
    assert await stream.take(50) == []  # creates the group
    entries = [await redis.xadd("process:data", {"jobId": str(number)}) for number in range(40)]
    await redis.xreadgroup("python-workers", "dead", {"process:data": ">"}, count=100)
    await redis.xclaim("process:data", "python-workers", "alive", 0, entries[:-1], idle=0)
    await redis.xclaim("process:data", "python-workers", "dead", 0, entries[-1:], idle=3_600_000)
    async with asyncio.timeout(20):
        while True:
            await redis.xclaim("process:data", "python-workers", "alive", 0, entries[:-1], idle=0)
            if taken := await stream.take(50):
                break
    assert [entry for entry, _ in taken] == [entries[-1]]


async def test_a_transaction_that_fails_fails_no_other(redis, stream):
    job_id = uuid4().hex
    await stream.take(1)
    await redis.set("process:data:dead", "not a stream")
    graph = read_graph({"jobId": job_id, "nodes": [{"id": "a", "plane": "python"}]})
    bad, good = await asyncio.gather(
        stream.reject("1-1", {"jobId": "x"}, "invalid", None),
        stream.publish([StatusUpdate(job_id=job_id, status="running")], graph),
        return_exceptions=True,
    )
    assert isinstance(bad, ResponseError)
    assert good is None
    assert await redis.exists(f"job:{job_id}", f"last:channel:status:{job_id}") == 2


async def test_an_entry_ends_once_and_its_last_updates_are_repeated(redis, stream):
    job_id = uuid4().hex
    await stream.take(1)
    await redis.xadd("process:data", {"jobId": job_id})
    ((entry, _),) = await stream.take(1)
    graph = read_graph({"jobId": job_id, "nodes": [{"id": "a", "plane": "control"}]})
    updates = [
        StatusUpdate(job_id=job_id, status="running"),
        DataUpdate(job_id=job_id, node_id="a", data={"text": "ä\n"}),
    ]
    channel = redis.pubsub(ignore_subscribe_messages=True)
    await channel.psubscribe("channel:*")

    await redis.set("process:control", "not a stream")
    with pytest.raises(ResponseError):
        await stream.end(entry, graph, [], to_control=True)
    assert (await redis.xpending("process:data", "python-workers"))["pending"] == 1
    await redis.delete("process:control")
    for _ in range(2):
        await stream.end(entry, graph, updates, to_control=True)

    assert [fields["jobId"] for _, fields in await redis.xrange("process:control")] == [job_id]
    assert (await redis.xpending("process:data", "python-workers"))["pending"] == 0
    assert read_graph(json.loads(await redis.get(f"job:{job_id}"))) == graph
    published = [await until(lambda: channel.get_message(timeout=1), timeout=20) for _ in range(4)]
    assert [each["channel"] for each in published] == 2 * [f"channel:status:{job_id}", f"channel:data:{job_id}"]
    assert json.loads(published[1]["data"])["data"] == {"text": "ä\n"}
    assert 0 < await redis.ttl(f"last:channel:data:{job_id}") <= 86_400
    await channel.aclose()


async def test_commands_of_a_lost_connection_say_that_the_source_is_away(redis_server, stream):
    redis_server.kill()
    with pytest.raises(SourceUnavailable):
        await asyncio.gather(*(stream.read_graph(str(number)) for number in range(20)))
