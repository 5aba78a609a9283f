"""The buffer of events is bounded, and an operation that awaits its publications waits."""

import asyncio

import pytest

from callsheet.domain.errors import DatabaseUnavailable
from callsheet.domain.ids import new_id
from callsheet.engine.worker.event_buffer import MAX_PER_JOB, WAIT_ABOVE, EventBuffer
from callsheet.queue.claim import ClaimedJob
from callsheet.testing.waiters import until


@pytest.fixture
def buffer():
    return EventBuffer()


def claimed(name):
    fields = {"id": new_id(), "execution_id": new_id(), "job_id": name}
    return ClaimedJob(**{field: fields.get(field) for field in ClaimedJob.__dataclass_fields__})


async def test_events_stay_in_order_until_they_are_removed(buffer):
    first, second = claimed("first"), claimed("second")
    for number in range(3):
        buffer.add(first, "job.log", {"number": number})
    buffer.add(second, "job.log", {"number": 3})

    assert [event.data for event in buffer.first()] == [f'{{"number":{n}}}' for n in range(4)]
    buffer.remove_first(3)
    assert [event.job for event in buffer.first()] == [second]
    assert (buffer.contains(first.id), buffer.contains(second.id)) == (False, True)


async def test_an_awaited_publication_waits_while_many_events_of_its_job_are_buffered(buffer):
    busy, other = claimed("busy"), claimed("other")
    published = []

    async def publish():
        for number in range(WAIT_ABOVE.events + 2):
            await buffer.add(busy, "job.output", {})
            published.append(number)

    publishing = asyncio.create_task(publish())
    await until(lambda: len(published) == WAIT_ABOVE.events)
    await asyncio.wait_for(_await(buffer.add(other, "job.output", {})), timeout=10)
    assert len(published) == WAIT_ABOVE.events
    buffer.remove_first(1)
    await until(lambda: len(published) == WAIT_ABOVE.events + 1)
    buffer.remove_first(10)
    await publishing


async def test_large_events_wait_at_a_number_of_characters(buffer):
    half = "x" * (WAIT_ABOVE.characters // 2)
    job = claimed("large")

    buffer.add(job, "job.output", {"half": half})
    waiting = asyncio.create_task(_await(buffer.add(job, "job.output", {"half": half})))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    assert len(buffer.first()) == 1
    buffer.remove_first(1)
    await waiting


async def test_publications_without_await_fail_at_the_limit_of_their_job_alone(buffer):
    careless, other = claimed("careless"), claimed("other")
    for _ in range(MAX_PER_JOB.events):
        buffer.add(careless, "job.output", {})

    with pytest.raises(DatabaseUnavailable, match=r"10,000 events .* Await job.log and job.publish"):
        buffer.add(careless, "job.output", {})
    buffer.add(other, "job.output", {})

    buffer.remove_first(1)
    buffer.add(careless, "job.output", {})


async def _await(publication):
    await publication
