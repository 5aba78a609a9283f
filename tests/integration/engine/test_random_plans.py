"""A thousand random plans through an engine, with failures, cancels and retries at random moments.

Whatever happens: jobs move as the table of moves says, every execution ends, nothing runs before what it waits for,
the counts agree with the rows, and the events have no gap.
"""

import asyncio
import random
from collections import Counter, defaultdict

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from plans import job

from callsheet.domain.errors import InvalidState
from callsheet.domain.plan_validation import read_submission
from callsheet.domain.statuses import ENDED, JobStatus, is_allowed
from callsheet.engine.jobs.cancel import cancel_execution, cancel_job
from callsheet.engine.jobs.retry import retry_execution, retry_job
from callsheet.engine.jobs.submit import submit_many
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL

EXAMPLES, PLANS = 20, 50


WORK = [
    ("noop", {}),
    ("noop", {}),
    ("noop", {}),
    ("sleep", {"seconds": 0.005}),
    ("fail", {}),
    ("fail", {"times": 1}),
    ("fail", {"times": 1, "transient": True}),
    ("fail", {"times": 9, "transient": True}),
    ("run-first", {"jobs": [{"id": "a"}, {"id": "b", "operation": "fail"}]}),
    ("run-first", {"jobs": [{"id": "a", "operation": "sleep", "params": {"seconds": 0.05}}]}),
]


def random_plan(chance):
    """Up to eight jobs; each may wait for earlier ones."""
    return {"jobs": [random_job(chance, number) for number in range(chance.randint(1, 8))]}


def random_job(chance, number):
    earlier = [f"j{n}" for n in range(number)]
    operation, params = chance.choice(WORK)
    return job(
        f"j{number}",
        operation,
        after=chance.sample(earlier, chance.randint(0, min(3, number))),
        params=params,
        retries=chance.randint(0, 2),
        priority=chance.randint(-2, 2),
        continueOnFailure=chance.random() < 0.3,
    )


def random_deed(chance):
    deed = chance.choice(["cancel", "cancel job", "retry", "retry job", "retry job"])
    return chance.randrange(PLANS), chance.randrange(8), deed, chance.uniform(0, 0.6)


@pytest.fixture(scope="module")
def database_of_the_plans(new_shared_database):
    return new_shared_database()


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # what the scheduler did cannot be played again, so nothing can be shrunk
    suppress_health_check=list(HealthCheck),
)
def test_a_thousand_random_plans_keep_every_promise(tmp_path_factory, database_of_the_plans, seed):
    chance = random.Random(seed)
    plans = [random_plan(chance) for _ in range(PLANS)]
    deeds = [random_deed(chance) for _ in range(60)]
    runtime = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("plans"),
        database_url=database_of_the_plans,
        retry_base=0.005,
        retry_cap=0.02,
        schedule_interval=0.02,
    )
    asyncio.run(go_through(runtime, plans, deeds))


async def go_through(runtime, plans, deeds):
    async with running_engine(ALL, settings=runtime, lanes={"test": 16}, workers=2) as engine:
        database = engine.runtime.database
        submissions = [read_submission({"executionPlan": plan}) for plan in plans]
        ids = await submit_many(database, submissions, engine.runtime.catalog, max_jobs=100)
        await asyncio.gather(*(do(engine, ids[which], *deed) for which, *deed in deeds))
        await asyncio.gather(*(engine.ended(execution_id, timeout=60) for execution_id in ids))
        for execution_id in ids:
            await check(database, execution_id)


async def do(engine, execution_id, number, deed, moment):
    await asyncio.sleep(moment)
    database = engine.runtime.database
    records = [found.id for found in (await engine.execution(execution_id)).jobs]
    record = records[number % len(records)]
    try:
        match deed:
            case "cancel":
                await cancel_execution(database, execution_id)
            case "cancel job":
                await cancel_job(database, record)
            case "retry":
                await retry_execution(database, execution_id)
            case "retry job":
                await retry_job(database, record)
    except InvalidState:
        pass


async def check(database, execution_id):
    async with database.connection() as connection:
        events = await connection.fetch(
            "SELECT number, type, job_id FROM events WHERE execution_id = $1 ORDER BY number", execution_id
        )
        rows = await connection.fetch("SELECT * FROM execution_jobs WHERE execution_id = $1", execution_id)
        execution = await connection.fetchrow("SELECT * FROM executions WHERE id = $1", execution_id)
        edges = await connection.fetch(
            "SELECT u.job_id AS upstream, d.job_id AS downstream FROM edges e "
            "JOIN execution_jobs u ON u.id = e.upstream JOIN execution_jobs d ON d.id = e.downstream "
            "WHERE d.execution_id = $1",
            execution_id,
        )
    upstream = defaultdict(set)
    for edge in edges:
        upstream[edge["downstream"]].add(edge["upstream"])
    assert [event["number"] for event in events] == list(range(1, execution["last_event"] + 1))
    follow_moves(events, rows, upstream)
    counts_agree(execution, rows)


def follow_moves(events, rows, upstream):
    may_fail = {row["job_id"] for row in rows if row["continue_on_failure"]}
    status = {}
    for name in (row["job_id"] for row in rows):
        waits = any("/" not in other for other in upstream[name])
        status[name] = JobStatus.PENDING if waits else JobStatus.QUEUED
    wanted_first = {name for name in status if "/" in name}  # not there yet
    again = set()  # jobs that failed, let others pass, and run again by hand: those others need not wait any more

    def well(name):
        return status[name] is JobStatus.SUCCEEDED or (status[name] is JobStatus.FAILED and name in may_fail)

    for event in events:
        noun, _, word = event["type"].partition(".")
        if noun != "job" or word not in list(JobStatus):
            continue
        name, before, after = event["job_id"], status[event["job_id"]], JobStatus(word)
        if name in wanted_first:
            assert after is JobStatus.QUEUED
            wanted_first.remove(name)
            continue
        history = f"{name} at event {event['number']}: {[(e['number'], e['job_id'], e['type']) for e in events]}"
        assert is_allowed(before, after), f"{before} -> {after}: {history}"
        if well(name):
            again.add(name)
        if after is JobStatus.QUEUED and before in (JobStatus.PENDING, *ENDED):
            assert all(map(well, upstream[name] - wanted_first)), f"released too soon: {history}"
        if after is JobStatus.RUNNING:
            waited_for = upstream[name] - wanted_first
            assert all(well(other) or other in again for other in waited_for), f"run too soon: {history}"
        status[name] = after
    assert status == {row["job_id"]: row["status"] for row in rows}


def counts_agree(execution, rows):
    stands = Counter(row["status"] for row in rows)
    failed = sum(row["status"] == "failed" and not row["continue_on_failure"] for row in rows)
    assert set(stands) <= ENDED
    assert execution["job_count"] == len(rows)
    assert execution["status"] in ("succeeded", "failed", "cancelled")
    assert (execution["unfinished"], execution["failed"], execution["cancelled"]) == (0, failed, stands["cancelled"])
    if execution["status"] == "succeeded":
        assert failed == stands["cancelled"] == 0
    assert all(row["pending_dependencies"] >= 0 for row in rows)
    assert all(row["pending_dependencies"] == 0 for row in rows if row["status"] in ("succeeded", "failed"))
