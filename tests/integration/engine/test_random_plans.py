"""Hundreds of random plans in an engine, with failures, cancels and retries at random times.

Invariants: all status changes are allowed, every execution ends, no job runs before its dependencies, the counts agree
with the rows, only failed jobs have an error, and the event numbers have no gap.
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
from callsheet.engine.jobs.submit import submit
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import ALL

EXAMPLES, PLANS = 8, 50


WORK = [
    ("noop", {}),
    ("noop", {}),
    ("noop", {}),
    ("sleep", {"seconds": 0.005}),
    ("fail", {}),
    ("fail", {"times": 1}),
    ("fail", {"times": 1, "transient": True}),
    ("fail", {"times": 9, "transient": True}),
    ("run-children", {"jobs": [{"id": "a"}, {"id": "b", "operation": "fail"}]}),
    ("run-children", {"jobs": [{"id": "a", "operation": "sleep", "params": {"seconds": 0.05}}]}),
]


def random_plan(rng):
    """Up to eight jobs, each with random dependencies on earlier ones."""
    return {"jobs": [random_job(rng, number) for number in range(rng.randint(1, 8))]}


def random_job(rng, number):
    earlier = [f"j{n}" for n in range(number)]
    operation, params = rng.choice(WORK)
    return job(
        f"j{number}",
        operation,
        after=rng.sample(earlier, rng.randint(0, min(3, number))),
        params=params,
        retries=rng.randint(0, 2),
        priority=rng.randint(-2, 2),
        continueOnFailure=rng.random() < 0.3,
    )


def random_action(rng):
    action = rng.choice(["cancel", "cancel job", "retry", "retry job", "retry job"])
    return rng.randrange(PLANS), rng.randrange(8), action, rng.uniform(0, 0.6)


@pytest.fixture(scope="module")
def shared_database(new_shared_database):
    return new_shared_database()


@given(seed=st.integers(0, 2**32))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # scheduling is not reproducible, so shrinking is impossible
    suppress_health_check=list(HealthCheck),
)
def test_random_plans_keep_all_invariants(tmp_path_factory, shared_database, seed):
    rng = random.Random(seed)
    plans = [random_plan(rng) for _ in range(PLANS)]
    actions = [random_action(rng) for _ in range(60)]
    runtime = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("plans"),
        database_url=shared_database,
        retry_base=0.005,
        retry_cap=0.02,
        schedule_interval=0.02,
    )
    asyncio.run(check_plans(runtime, plans, actions))


async def check_plans(runtime, plans, actions):
    async with running_engine(ALL, settings=runtime, lanes={"test": 16}, workers=2) as engine:
        database = engine.runtime.database
        submissions = [read_submission({"executionPlan": plan}) for plan in plans]
        ids = [
            (await submit(database, submission, engine.runtime.catalog, max_jobs=100)).execution_id
            for submission in submissions
        ]
        await asyncio.gather(*(perform(engine, ids[which], *action) for which, *action in actions))
        await asyncio.gather(*(engine.ended(execution_id, timeout=60) for execution_id in ids))
        for execution_id in ids:
            await check(database, execution_id)


async def perform(engine, execution_id, number, action, delay):
    await asyncio.sleep(delay)  # sleep: the moment of the action is random
    database = engine.runtime.database
    records = [found.id for found in (await engine.execution(execution_id)).jobs]
    record = records[number % len(records)]
    try:
        match action:
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
    check_status_changes(events, rows, upstream)
    check_counts(execution, rows)


def check_status_changes(events, rows, upstream):
    may_fail = {row["job_id"] for row in rows if row["continue_on_failure"]}
    status = {}
    for name in (row["job_id"] for row in rows):
        waits = any("/" not in other for other in upstream[name])
        status[name] = JobStatus.PENDING if waits else JobStatus.QUEUED
    missing_children = {name for name in status if "/" in name}  # not added yet
    again = set()  # retried after their dependents were released: those no longer wait for them

    def is_done(name):
        return status[name] is JobStatus.SUCCEEDED or (status[name] is JobStatus.FAILED and name in may_fail)

    for event in events:
        subject, _, verb = event["type"].partition(".")
        if subject != "job" or verb not in list(JobStatus):
            continue
        name, before, after = event["job_id"], status[event["job_id"]], JobStatus(verb)
        if name in missing_children:
            assert after is JobStatus.QUEUED
            missing_children.remove(name)
            continue
        history = f"{name} at event {event['number']}: {[(e['number'], e['job_id'], e['type']) for e in events]}"
        assert is_allowed(before, after), f"{before} -> {after}: {history}"
        if is_done(name):
            again.add(name)
        if after is JobStatus.QUEUED and before in (JobStatus.PENDING, *ENDED):
            assert all(map(is_done, upstream[name] - missing_children)), f"released too early: {history}"
        if after is JobStatus.RUNNING:
            waited_for = upstream[name] - missing_children
            assert all(is_done(other) or other in again for other in waited_for), f"run too early: {history}"
        status[name] = after
    assert status == {row["job_id"]: row["status"] for row in rows}


def check_counts(execution, rows):
    status_counts = Counter(row["status"] for row in rows)
    failed = sum(row["status"] == "failed" and not row["continue_on_failure"] for row in rows)
    assert set(status_counts) <= ENDED
    assert execution["job_count"] == len(rows)
    assert execution["status"] in ("succeeded", "failed", "cancelled")
    assert (execution["unfinished"], execution["failed"], execution["cancelled"]) == (
        0,
        failed,
        status_counts["cancelled"],
    )
    if execution["status"] == "succeeded":
        assert failed == status_counts["cancelled"] == 0
    assert all(row["pending_dependencies"] >= 0 for row in rows)
    assert all(row["pending_dependencies"] == 0 for row in rows if row["status"] in ("succeeded", "failed"))
    assert all((row["error"] is not None) == (row["status"] == "failed") for row in rows)
