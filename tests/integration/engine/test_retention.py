"""Deletion of ended executions: complete, in small batches, and never of what is still needed."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from plans import job, plan

from callsheet.db.statements import sql
from callsheet.domain.errors import InvalidState, NotFound, StorageUnreachable
from callsheet.domain.ids import first_id_at, new_id
from callsheet.domain.retention import parse_retention
from callsheet.engine.reads.costs import sum_costs
from callsheet.engine.retention import delete as deletion
from callsheet.engine.retention.clean_up import clean_up, preview_clean_up
from callsheet.engine.retention.delete import delete_execution, delete_objects

TABLES = (
    *("executions", "execution_jobs", "edges", "events", "job_logs", "artifacts", "once_steps", "submissions"),
    *("idempotency_keys", "plan_runs", "approvals"),
)
WRITES = {"name": "a.txt", "text": "hello"}


async def rows(engine):
    async with engine.runtime.database.connection() as connection:
        return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}


async def run(engine, *jobs, **options):
    """Run a plan to its end, and return its execution."""
    execution_id = await engine.submit(plan(*(jobs or [job("a", "write", params=WRITES)])), **options)
    return await engine.ended(execution_id)


async def age(engine, execution_id, days):
    """Make an ended execution older: new ids are larger than old ones, and so are the times."""
    older = first_id_at(datetime.now(UTC) - timedelta(days=days)).int + uuid4().int % 2**60
    async with engine.runtime.database.connection() as connection:
        new = UUID(int=older)
        await connection.execute("DELETE FROM job_logs WHERE execution_id = $1", execution_id)
        for table in ("execution_jobs", "events", "artifacts"):
            await connection.execute(f"UPDATE {table} SET execution_id = $1 WHERE execution_id = $2", new, execution_id)
        await connection.execute(
            "UPDATE executions SET id = $1, created_at = created_at - $3::interval,"
            " finished_at = finished_at - $3::interval WHERE id = $2",
            new,
            execution_id,
            timedelta(days=days),
        )
    return new


async def clean(engine, rules="90d"):
    runtime = engine.runtime
    return await clean_up(runtime.database, runtime.storage, parse_retention(rules))


async def exists(engine, key):
    try:
        await engine.runtime.storage.head(key)
    except NotFound:
        return False
    return True


async def test_a_deleted_execution_leaves_nothing_behind(engine):
    execution = await run(engine, job("a", "write", params=WRITES), job("b", "noop", after=["a"]), idempotency_key="k")
    key = execution.artifacts[0].key

    await delete_execution(engine.runtime.database, engine.runtime.storage, execution.execution_id)

    assert set((await rows(engine)).values()) == {0}
    assert not await exists(engine, key)
    with pytest.raises(NotFound):
        await delete_execution(engine.runtime.database, engine.runtime.storage, execution.execution_id)


async def test_an_execution_that_has_not_ended_cannot_be_deleted(idle_engine):
    execution_id = await idle_engine.submit(plan(job("a")))

    with pytest.raises(InvalidState, match=r"is queued\. Cancel it first"):
        await delete_execution(idle_engine.runtime.database, idle_engine.runtime.storage, execution_id)


async def test_files_that_an_unfinished_execution_names_are_kept(engine):
    execution = await run(engine)
    artifact = execution.artifacts[0]
    await engine.submit(
        plan(
            job("wait", "sleep", params={"seconds": 60}),
            job("b", params={"value": f"artifact:{artifact.artifact_id}"}, after=["wait"]),
        )
    )

    with pytest.raises(InvalidState, match=f"still needed by an unfinished execution.*{artifact.name}"):
        await delete_execution(engine.runtime.database, engine.runtime.storage, execution.execution_id)
    aged = await age(engine, execution.execution_id, 100)

    assert (await clean(engine)).executions == 0
    assert await engine.execution(aged)


async def test_rules_delete_what_is_older_and_nothing_else(engine):
    old, new, kept = [(await run(engine)).execution_id for _ in range(2)] + [
        (await run(engine, metadata={"keep": True})).execution_id
    ]
    old, kept = await age(engine, old, 91), await age(engine, kept, 400)
    preview = await preview_clean_up(engine.runtime.database, parse_retention("90d"))

    deleted = await clean(engine)

    assert deleted == preview
    assert (deleted.executions, deleted.files, deleted.bytes) == (1, 1, 5)
    assert await engine.execution(new)
    assert await engine.execution(kept)
    with pytest.raises(NotFound):
        await engine.execution(old)


async def test_statuses_and_keys_have_their_own_rules(engine):
    database = engine.runtime.database
    async with database.connection() as connection:
        key = new_id()
        await sql.insert_key(
            connection,
            id=key,
            name="preview",
            prefix="csk_",
            digest=b"x",
            scopes=["read"],
            rate_limit=None,
            max_running=None,
            monthly_budget=None,
            created_by="test",
            expires_at=None,
        )
    failed = await age(engine, (await run(engine, job("a", "fail"))).execution_id, 10)
    succeeded = await age(engine, (await run(engine)).execution_id, 10)
    of_key = await age(engine, (await run(engine)).execution_id, 10)
    async with database.connection() as connection:
        await connection.execute("UPDATE executions SET api_key = $1 WHERE id = $2", key, of_key)

    await clean(engine, "off")
    assert (await rows(engine))["executions"] == 3
    await clean(engine, "off,failed=9d")
    assert (await rows(engine))["executions"] == 2
    await clean(engine, "90d,key:preview=1d,key:unknown=1d")

    assert (await rows(engine))["executions"] == 1
    assert await engine.execution(succeeded)
    for gone in (failed, of_key):
        with pytest.raises(NotFound):
            await engine.execution(gone)


async def test_files_are_deleted_later_when_the_storage_is_away(engine, monkeypatch):
    execution = await run(engine)
    key = execution.artifacts[0].key
    storage = engine.runtime.storage

    async def away(keys):
        raise StorageUnreachable("away")

    with monkeypatch.context() as outage:
        outage.setattr(storage, "delete", away)
        with pytest.raises(StorageUnreachable):
            await delete_execution(engine.runtime.database, storage, execution.execution_id)
    assert await exists(engine, key)

    assert await delete_objects(engine.runtime.database, storage) == 1
    assert not await exists(engine, key)


async def test_costs_of_deleted_executions_stay_in_the_sums_and_budgets(engine):
    execution = await run(engine)
    database = engine.runtime.database
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO submissions (id, job, step, epoch, provider, model, request_digest, outcome, task, cost,"
            " cost_source, closed_at)"
            " VALUES (gen_random_uuid(), $1, 's', 1, 'fal', 'm', '', 'accepted', '{}', 1.5, 'price', now())",
            execution.jobs[0].id,
        )
        await connection.execute("UPDATE execution_jobs SET cost = 1.5 WHERE id = $1", execution.jobs[0].id)
        await connection.execute("UPDATE executions SET estimated_cost = 1 WHERE id = $1", execution.execution_id)
    since = datetime.now(UTC) - timedelta(days=2)

    async def figures():
        sums = [await sum_costs(database, by, since=since, until=None, limit=10) for by in ("model", "day", "key")]
        committed = await database.retry(lambda c: sql.committed_costs(c, api_key=None, since=since))
        return [(each.group, each.amount, each.submissions, each.from_price) for (each,) in sums], committed

    before = await figures()
    await delete_execution(database, engine.runtime.storage, execution.execution_id)

    assert await figures() == before
    assert before[1] == 1.5


async def test_two_processes_that_clean_up_delete_each_execution_once(engine, monkeypatch):
    monkeypatch.setattr("callsheet.engine.retention.clean_up._BATCH", 2)
    executions = await asyncio.gather(*(run(engine) for _ in range(9)))
    for execution in executions:
        await age(engine, execution.execution_id, 100)

    results = await asyncio.gather(clean(engine), clean(engine))

    assert sum(result.executions for result in results) == 9
    assert (await rows(engine))["executions"] == 0


async def test_an_end_that_is_not_reported_yet_keeps_its_execution(engine):
    execution = await run(engine)
    async with engine.runtime.database.connection() as connection:
        await connection.execute(
            "INSERT INTO intake_messages (intake, source, message_id, attempt, execution_id, claim, product_id, owner,"
            " owned_until) VALUES ('i', 's', 'm', '1', $1, '{}', 'p', gen_random_uuid(), now())",
            execution.execution_id,
        )

    with pytest.raises(InvalidState, match="not reported to its queue"):
        await deletion.delete_execution(engine.runtime.database, engine.runtime.storage, execution.execution_id)
