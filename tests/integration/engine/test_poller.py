"""The poller with many waiting jobs: which ones it polls, and which ones it does not."""

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

HOUR = 3600.0
HOURLY = timedelta(hours=1)

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


class CountingProvider:
    """The part of a provider that the poller uses. It counts polls."""

    def __init__(self, name, response=TaskStatus("running", "drawing"), per_second=None):  # noqa: B008 - frozen
        self.name = name
        self.poll_policy = PollPolicy(initial=HOURLY, max_interval=HOURLY, per_second=per_second)
        self.capabilities = Capabilities()
        self.response = response
        self.polls = 0
        self.concurrent = 0
        self.max_concurrent = 0
        self.unresponsive = False

    async def get_status(self, _):
        self.polls += 1
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        try:
            await asyncio.sleep(HOUR if self.unresponsive else 0.002)  # sleep: how long a provider takes to respond
        finally:
            self.concurrent -= 1
        if isinstance(self.response, Exception):
            raise self.response
        return self.response


@pytest.fixture
async def database(database_url):
    async with Database(database_url) as database:
        yield database


async def add_waiting_jobs(database, provider, jobs, timeout=HOURLY):
    async with database.connection() as connection:
        await connection.execute(WAITING, provider, jobs, timeout)


async def count_jobs(database, provider, condition):
    async with database.connection() as connection:
        query = f"SELECT count(*) FROM execution_jobs WHERE provider = $1 AND {condition}"
        return await connection.fetchval(query, provider)


@asynccontextmanager
async def running_poller(database, *providers, interval):
    poller_under_test = Poller(database, {provider.name: provider for provider in providers}, interval=interval)
    task = asyncio.create_task(poller_under_test.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_many_due_jobs_are_polled_without_a_pause(database):
    fake = CountingProvider("fake")
    await add_waiting_jobs(database, "fake", 420)

    async with running_poller(database, fake, interval=HOUR):
        await until(lambda: fake.polls == 420)
        await until(lambda: polls_stored(database, "fake", 420))

    assert fake.max_concurrent <= 16


async def polls_stored(database, provider, jobs):
    return (
        await count_jobs(database, provider, "poll_attempts = 1 AND next_poll_at > now() + interval '50 min'") == jobs
    )


async def all_polled(database, provider):
    return await count_jobs(database, provider, "poll_attempts = 0") == 0


async def test_an_unresponsive_provider_does_not_delay_others(database):
    unresponsive, other = CountingProvider("unresponsive"), CountingProvider("other")
    unresponsive.unresponsive = True
    await add_waiting_jobs(database, "unresponsive", 300)
    await add_waiting_jobs(database, "other", 150)

    async with running_poller(database, unresponsive, other, interval=0.02):
        assert await until(lambda: other.polls == 150)


async def test_jobs_of_a_rate_limited_provider_are_not_claimed(database):
    busy, other = (
        CountingProvider("busy", ProviderRateLimited("Too many requests.", retry_after=HOUR)),
        CountingProvider("other"),
    )
    await add_waiting_jobs(database, "busy", 250)

    async with running_poller(database, busy, other, interval=0.02):
        await until(lambda: count_jobs(database, "busy", "next_poll_at > now() + interval '10 min'"))
        # A later job is polled, so another claim has happened.
        await add_waiting_jobs(database, "other", 1)
        await until(lambda: other.polls)
        assert await count_jobs(database, "busy", "next_poll_at <= now()") == 150

    assert busy.polls <= 16


async def test_a_provider_is_not_polled_above_its_rate_limit(database):
    limited = CountingProvider("limited", per_second=50)
    await add_waiting_jobs(database, "limited", 150)
    started = time.monotonic()

    async with running_poller(database, limited, interval=HOUR):
        await until(lambda: limited.polls >= 26)

    assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize("configured", [True, False], ids=["is rate limited", "is not configured"])
async def test_an_overdue_job_is_queued_even_if_its_provider(database, configured):
    fake = CountingProvider("fake", ProviderRateLimited("Too many requests.", retry_after=HOUR))
    await add_waiting_jobs(database, "fake", 150)

    async with running_poller(database, *[fake] * configured, interval=0.02):
        if configured:
            await until(lambda: fake.polls)
        await add_waiting_jobs(database, "fake", 1, timedelta(0))
        await until(lambda: count_jobs(database, "fake", "status = 'queued'"))

    assert await count_jobs(database, "fake", "status = 'waiting'") == 150


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(poller, "_LEASE", 2.0)
    monkeypatch.setattr(poller, "_RENEW_AFTER", 0.3)


@pytest.mark.usefixtures("short_lease")
async def test_a_slow_poll_keeps_its_lease(database):
    slow, idle = CountingProvider("fake"), CountingProvider("fake")
    slow.unresponsive = True
    await add_waiting_jobs(database, "fake", 3)

    started = datetime.now(UTC)
    async with running_poller(database, slow, interval=0.02):
        await until(lambda: slow.polls == 3)
        # The lease is renewed past its first expiry.
        async with running_poller(database, idle, interval=0.02):
            await until(
                lambda: count_jobs(database, "fake", f"next_poll_at > '{started}'::timestamptz + interval '4.5 s'"),
                timeout=9,
            )

    assert (slow.polls, idle.polls) == (3, 0)


@pytest.mark.usefixtures("short_lease")
async def test_polls_of_a_dead_worker_are_repeated_after_the_lease(database):
    dead, successor = CountingProvider("fake"), CountingProvider("fake")
    dead.unresponsive = True
    await add_waiting_jobs(database, "fake", 3)
    async with running_poller(database, dead, interval=0.02):
        await until(lambda: dead.polls == 3)

    async with running_poller(database, successor, interval=0.02):
        await until(lambda: all_polled(database, "fake"))

    # A machine that stalls for longer than a lease may poll twice.
    assert successor.polls >= 3
