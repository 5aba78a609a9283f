"""Follow the events of many executions at once."""

import asyncio
import tracemalloc
from collections import defaultdict

import pytest
from plans import job, plan

from callsheet.db.database import Database
from callsheet.domain.errors import DatabaseUnavailable, NotFound
from callsheet.domain.ids import new_id
from callsheet.engine.reads import event_stream as event_stream_module
from callsheet.engine.reads.event_stream import EventStream
from callsheet.engine.reads.events import events_after
from callsheet.testing.waiters import until


class CountingDatabase(Database):
    """A database that counts its statements, and fails while `is_away`."""

    queries = 0
    is_away = False

    async def retry(self, work, **options):
        self.queries += 1
        if self.is_away:
            raise DatabaseUnavailable()
        return await super().retry(work, **options)


@pytest.fixture
async def database(idle_engine):
    async with CountingDatabase(idle_engine.runtime.database.address, size=2) as database:
        yield database


@pytest.fixture
async def stream(database):
    """An event stream of its own, which listens."""
    stream = EventStream(database)
    listening = asyncio.create_task(stream.run())
    yield stream
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def submit(engine, number):
    return await asyncio.gather(*(engine.submit(plan(job("a"))) for _ in range(number)))


async def collect(follower):
    seen = defaultdict(list)
    async with asyncio.timeout(60):
        async for execution_id, event in follower:
            seen[execution_id].append(event.number)
    return seen


async def test_one_follower_gets_the_events_of_all_its_executions_in_order_each_once(engine, stream):
    ids = await submit(engine, 40)

    with stream.follower() as follower:
        for execution_id in ids:
            follower.add(execution_id)
        seen = await collect(follower)

    assert seen == {execution_id: [1, 2, 3, 4, 5] for execution_id in ids}


async def test_events_that_were_read_together_are_returned_together_and_an_error_after_them(engine, stream):
    ids = await submit(engine, 40)
    await asyncio.gather(*(engine.ended(execution_id) for execution_id in ids))

    with stream.follower() as follower:
        for execution_id in [*ids, new_id()]:
            follower.add(execution_id)
        read = await follower.read()
        with pytest.raises(NotFound):
            await follower.read()
        assert await follower.read() == []

    assert [(id, event.number) for id, event in read] == [(id, number) for id in ids for number in range(1, 6)]


async def test_executions_without_new_events_cost_one_query_together(idle_engine, stream, database):
    ids = await submit(idle_engine, 300)
    with stream.follower() as follower:
        for execution_id in ids:
            follower.add(execution_id)
        first = [await anext(follower) for _ in ids]
        before = database.queries
        waiting = asyncio.ensure_future(anext(follower))
        await asyncio.sleep(0)

        stream._wake_followers("*")
        await until(lambda: database.queries > before)
        await asyncio.sleep(0.3)  # sleep: its queries in this time are counted

        assert {execution_id for execution_id, _ in first} == set(ids)
        # At most the fallback read in addition.
        assert database.queries - before <= 2
        waiting.cancel()


async def test_a_follower_resumes_after_the_number_of_an_event(engine, stream):
    execution_id = (await engine.run(plan(job("a")))).execution_id

    with stream.follower() as follower:
        follower.add(execution_id, after=3)
        seen = await collect(follower)

    assert seen == {execution_id: [4, 5]}


async def test_an_execution_without_further_events_is_left_at_once(engine, stream):
    execution_id = (await engine.run(plan(job("a")))).execution_id

    with stream.follower() as follower:
        follower.add(execution_id, after=5)

        assert await collect(follower) == {}


async def test_events_beyond_one_page_follow_in_order(idle_engine, stream, monkeypatch):
    monkeypatch.setattr(event_stream_module, "_MAX_EVENTS", 3)
    execution_id = await idle_engine.submit(plan(*(job(f"j{n}") for n in range(10))))
    await idle_engine.start_worker()

    with stream.follower() as follower:
        follower.add(execution_id)
        seen = await collect(follower)

    assert seen == {execution_id: list(range(1, 24))}


async def test_an_execution_added_later_is_followed_too(engine, stream):
    first, second = await submit(engine, 2)

    with stream.follower() as follower:
        follower.add(first)
        assert list(await collect(follower)) == [first]
        follower.add(second)
        assert list(await collect(follower)) == [second]


async def test_a_follower_that_waits_for_more_ends_when_it_is_closed(engine, stream):
    seen = []

    async def follow(follower):
        async for execution_id, event in follower:
            seen.append((execution_id, event.number))

    with stream.follower(waits_for_more=True) as follower:
        following = asyncio.create_task(follow(follower))
        ids = await submit(engine, 3)
        for execution_id in ids:
            follower.add(execution_id)
            await until(lambda: not len(follower))
            await until(lambda: len(seen) % 5 == 0)
    await asyncio.wait_for(following, 30)

    assert seen == [(execution_id, number) for execution_id in ids for number in range(1, 6)]


async def test_an_unknown_execution_is_reported_and_the_others_go_on(engine, stream):
    known = (await submit(engine, 1))[0]

    with stream.follower() as follower:
        follower.add(new_id())
        follower.add(known)
        seen = []
        with pytest.raises(NotFound):
            while True:
                seen.append(await anext(follower))
        rest = await collect(follower)

    assert [event.number for _, event in seen] + rest[known] == [1, 2, 3, 4, 5]


async def test_a_slow_follower_holds_up_no_other_one_and_buffers_a_bounded_number(idle_engine, stream, monkeypatch):
    monkeypatch.setattr(event_stream_module, "_MAX_EVENTS", 4)
    execution_id = await idle_engine.submit(plan(*(job(f"j{n}") for n in range(30))))

    with stream.follower() as slow, stream.follower() as quick:
        slow.add(execution_id)
        await anext(slow)
        quick.add(execution_id)
        await idle_engine.start_worker()
        seen = await collect(quick)

        assert seen == {execution_id: list(range(1, 64))}
        assert len(slow._buffer) <= 4
        # Once it continues, it misses nothing.
        assert await collect(slow) == {execution_id: list(range(2, 64))}


async def test_after_a_database_error_a_follower_continues_where_it_was(engine, stream, database):
    execution_id = (await engine.run(plan(job("a")))).execution_id

    with stream.follower() as follower:
        database.is_away = True
        follower.add(execution_id)
        with pytest.raises(DatabaseUnavailable):
            await anext(follower)
        database.is_away = False

        assert await collect(follower) == {execution_id: [1, 2, 3, 4, 5]}


async def test_a_removed_execution_is_not_followed_any_more(idle_engine, stream):
    kept, removed = await submit(idle_engine, 2)
    with stream.follower() as follower:
        follower.add(kept)
        follower.add(removed)
        assert {(await anext(follower))[0] for _ in range(2)} == {kept, removed}

        follower.remove(removed)
        await idle_engine.start_worker()

        assert await collect(follower) == {kept: [2, 3, 4, 5]}


async def test_nothing_is_read_without_followers(engine, stream, database):
    await engine.run(plan(job("a")))
    before = database.queries

    await engine.run(plan(job("a")))

    assert database.queries == before
    assert stream._followers == {}


async def add_large_events(engine, number):
    """Add events with 1 MB of data each to an execution."""
    [execution_id] = await submit(engine, 1)
    async with engine.runtime.database.connection() as connection:
        await connection.execute(
            """INSERT INTO events (execution_id, number, job_id, type, data)
               SELECT $1, n, 'a', 'job.output', jsonb_build_object('text', repeat(md5(n::text), 32768))
               FROM generate_series(100, 99 + $2::int) n""",
            execution_id,
            number,
        )
        await connection.execute(
            "UPDATE executions SET last_event = (SELECT max(number) FROM events WHERE execution_id = $1) WHERE id = $1",
            execution_id,
        )
    return execution_id


async def test_the_events_in_memory_of_a_slow_consumer_are_limited_in_bytes(idle_engine, stream):
    execution_id = await add_large_events(idle_engine, 60)
    tracemalloc.start()
    try:
        with stream.follower() as follower:
            follower.add(execution_id, after=99)
            numbers = [(await anext(follower))[1].number]
            _, peak = tracemalloc.get_traced_memory()
            while len(numbers) < 60:
                numbers.append((await anext(follower))[1].number)
    finally:
        tracemalloc.stop()

    assert peak < 40 * 2**20
    assert numbers == list(range(100, 160))


async def test_a_page_of_events_is_limited_in_bytes(idle_engine):
    execution_id = await add_large_events(idle_engine, 20)

    pages, after = [], 99
    while page := await events_after(idle_engine.runtime.database, execution_id, after):
        pages.append(len(page))
        after = page[-1].number

    assert (sum(pages), max(pages)) == (20, 4)
