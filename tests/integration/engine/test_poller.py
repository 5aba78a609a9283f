"""A great many jobs that wait: whom the poller asks, and whom it leaves alone."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from callsheet.db.database import Database
from callsheet.domain.errors import ProviderRateLimited
from callsheet.engine.submissions import poller
from callsheet.engine.submissions.poller import Poller
from callsheet.providers.contract import Capabilities, PollPolicy, TaskStatus
from callsheet.testing.waiters import until

SELDOM = 3600.0
RARELY = timedelta(hours=1)

WAITING = """
    WITH made AS (
        INSERT INTO executions (id, job_count, unfinished, last_event)
        SELECT gen_random_uuid(), 1, 1, 0 FROM generate_series(1, $2) RETURNING id
    ), jobs AS (
        INSERT INTO execution_jobs (id, execution_id, job_id, operation, queue, priority, status, params, epoch,
                                    timeout_seconds, max_attempts, provider, submission, provider_job_id,
                                    waiting_strategy, next_poll_at, waiting_until)
        SELECT gen_random_uuid(), id, 'a', 'draw', 'test', 0, 'waiting', '{}', 1, 60, 3, $1, gen_random_uuid(),
               id::text, 'polling', now(), now() + $3 FROM made
        RETURNING id, submission, provider_job_id
    )
    INSERT INTO submissions (id, job, step, epoch, provider, model, request_digest, outcome, provider_job_id, task)
    SELECT submission, id, 'submit', 1, $1, 'crayon', 'x', 'accepted', provider_job_id,
           jsonb_build_object('provider', $1, 'id', provider_job_id, 'handle', '{}'::jsonb) FROM jobs"""


class Asked:
    """As much of a provider as the poller sees: it answers so many at a time."""

    def __init__(self, name, answer=TaskStatus("running", "drawing"), per_second=None):  # noqa: B008 - frozen
        self.name = name
        self.poll_policy = PollPolicy(initial=RARELY, max_interval=RARELY, per_second=per_second)
        self.capabilities = Capabilities()
        self.answer = answer
        self.looks = 0
        self.at_once = 0
        self.most_at_once = 0
        self.silent = False

    async def get_status(self, _):
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(SELDOM if self.silent else 0.002)
        finally:
            self.at_once -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
async def database(database_url):
    async with Database(database_url) as database:
        yield database


async def wait_for(database, provider, jobs, patience=RARELY):
    async with database.connection() as connection:
        await connection.execute(WAITING, provider, jobs, patience)


async def number(database, provider, condition):
    async with database.connection() as connection:
        asked = f"SELECT count(*) FROM execution_jobs WHERE provider = $1 AND {condition}"
        return await connection.fetchval(asked, provider)


@asynccontextmanager
async def polling(database, *providers, interval):
    looking = Poller(database, {provider.name: provider for provider in providers}, interval=interval)
    task = asyncio.create_task(looking.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_many_due_jobs_are_looked_at_one_after_the_other_without_a_rest(database):
    toy = Asked("toy")
    await wait_for(database, "toy", 420)

    async with polling(database, toy, interval=SELDOM):
        await until(lambda: toy.polls == 420)
        await until(lambda: recorded(database, "toy", 420))

    assert toy.most_at_once <= 16


async def recorded(database, provider, jobs):
    return await number(database, provider, "poll_attempts = 1 AND next_poll_at > now() + interval '50 min'") == jobs


async def looked_at(database, provider):
    return await number(database, provider, "poll_attempts = 0") == 0


async def test_a_provider_that_gives_no_answers_keeps_no_other_waiting(database):
    silent, other = Asked("silent"), Asked("other")
    silent.silent = True
    await wait_for(database, "silent", 300)
    await wait_for(database, "other", 150)

    async with polling(database, silent, other, interval=0.02):
        await until(lambda: other.looks == 150)


async def test_jobs_of_a_provider_that_asks_for_a_pause_are_left_as_they_are(database):
    busy, other = Asked("busy", ProviderRateLimited("Too many questions.", retry_after=SELDOM)), Asked("other")
    await wait_for(database, "busy", 250)

    async with polling(database, busy, other, interval=0.02):
        await until(lambda: number(database, "busy", "next_poll_at > now() + interval '10 min'"))
        # Whoever comes later is looked at, so another claim has been made.
        await wait_for(database, "other", 1)
        await until(lambda: other.looks)
        assert await number(database, "busy", "next_poll_at <= now()") == 150

    assert busy.looks <= 16


async def test_a_provider_is_looked_at_no_oftener_than_it_likes(database):
    shy = Asked("shy", per_second=50)
    await wait_for(database, "shy", 150)
    began = time.monotonic()

    async with polling(database, shy, interval=SELDOM):
        await until(lambda: shy.looks == 26)

    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("known", [True, False], ids=["rests", "is unknown here"])
async def test_a_job_whose_time_is_over_is_handed_over_though_its_provider(database, known):
    toy = Asked("toy", ProviderRateLimited("Too many questions.", retry_after=SELDOM))
    await wait_for(database, "toy", 150)

    async with polling(database, *[toy] * known, interval=0.02):
        if known:
            await until(lambda: toy.polls)
        await wait_for(database, "toy", 1, timedelta(0))
        await until(lambda: number(database, "toy", "status = 'queued'"))

    assert await number(database, "toy", "status = 'waiting'") == 150


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(poller, "_LEASE", 2.0)
    monkeypatch.setattr(poller, "_RENEW_AFTER", 0.3)


@pytest.mark.usefixtures("short_lease")
async def test_a_look_that_takes_long_is_left_to_whom_it_belongs(database):
    slow, idle = Asked("toy"), Asked("toy")
    slow.silent = True
    await wait_for(database, "toy", 3)

    begun = datetime.now(UTC)
    async with polling(database, slow, interval=0.02):
        await until(lambda: slow.looks == 3)
        # Held on to for longer than a lease.
        async with polling(database, idle, interval=0.02):
            await until(
                lambda: number(database, "toy", f"next_poll_at > '{begun}'::timestamptz + interval '4.5 s'"), timeout=9
            )

    assert (slow.looks, idle.looks) == (3, 0)


@pytest.mark.usefixtures("short_lease")
async def test_looks_of_a_worker_that_died_are_taken_over_after_a_lease(database):
    dead, heir = Asked("toy"), Asked("toy")
    dead.silent = True
    await wait_for(database, "toy", 3)
    async with polling(database, dead, interval=0.02):
        await until(lambda: dead.looks == 3)

    async with polling(database, heir, interval=0.02):
        await until(lambda: looked_at(database, "toy"))

    # A machine that is held up for longer than a lease may look twice.
    assert heir.looks >= 3
