"""Submit plans."""

import asyncio
import time

import pytest
from plans import job, plan

from callsheet.domain.errors import IdempotencyConflict, PlanRefused
from callsheet.domain.plan_validation import check_plan, read_submission
from callsheet.engine.jobs.execution_rows import ExecutionRows, insertion_arguments
from callsheet.operation_api.catalog import Catalog
from callsheet.testing.operations import noop


async def counts(engine):
    async with engine.runtime.database.connection() as connection:
        return tuple(
            await connection.fetchrow(
                "SELECT (SELECT count(*) FROM executions), (SELECT count(*) FROM execution_jobs), "
                "(SELECT count(*) FROM edges), (SELECT count(*) FROM events)"
            )
        )


async def test_the_same_submission_with_the_same_key_is_stored_once(idle_engine):
    first = await idle_engine.submit(plan(job("a")), idempotency_key="k")
    again = await idle_engine.submit(plan(job("a")), idempotency_key="k")

    assert first == again
    assert await counts(idle_engine) == (1, 1, 0, 1)


async def test_another_submission_with_the_same_key_is_refused(idle_engine):
    await idle_engine.submit(plan(job("a")), idempotency_key="k")

    with pytest.raises(IdempotencyConflict):
        await idle_engine.submit(plan(job("b")), idempotency_key="k")

    assert await counts(idle_engine) == (1, 1, 0, 1)


async def test_concurrent_submissions_with_the_same_key_are_stored_once(idle_engine):
    ids = await asyncio.gather(*(idle_engine.submit(plan(job("a")), idempotency_key="k") for _ in range(20)))

    assert len(set(ids)) == 1
    assert await counts(idle_engine) == (1, 1, 0, 1)


async def test_a_refused_plan_stores_nothing_and_keeps_its_key_free(idle_engine):
    with pytest.raises(PlanRefused):
        await idle_engine.submit(plan(job("a"), job("a")), idempotency_key="k")

    assert await counts(idle_engine) == (0, 0, 0, 0)
    await idle_engine.submit(plan(job("a")), idempotency_key="k")


async def test_a_plan_of_10_000_jobs_is_stored_in_under_3_seconds(idle_engine):
    first = [job(f"a{n}") for n in range(5000)]
    second = [job(f"b{n}", after=[f"a{n}"]) for n in range(5000)]
    started = time.process_time(), time.perf_counter()

    await idle_engine.submit(plan(*first, *second))

    elapsed = time.perf_counter() - started[1]
    print(f"10,000 jobs: {elapsed:.2f} s, of them {time.process_time() - started[0]:.2f} s of this process")
    assert elapsed < 3
    assert await counts(idle_engine) == (1, 10_000, 5_000, 1)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "nul \0 inside"}, "name"),
        ({"name": "half a pair \ud800"}, "name"),
    ],
)
async def test_a_name_that_the_database_cannot_store_is_refused_with_its_path(idle_engine, fields, path):
    with pytest.raises(PlanRefused, match=path):
        await idle_engine.submit({**plan(job("a")), **fields})


@pytest.mark.parametrize("value", ["nul \0 inside", "half a pair \ud800", 2**70, float("nan"), float("inf")])
async def test_params_that_jsonb_cannot_store_are_refused_with_their_path(idle_engine, value):
    with pytest.raises(PlanRefused, match=r"jobs\[1\].params"):
        await idle_engine.submit(plan(job("a"), job("b", params={"value": [value]})))


@pytest.mark.parametrize(
    "value", ["\\u0000", "emoji 🎬 'quotes' \"double\" ${", "tab\tnewline\n", -0.0, 2**53, None, [[]], {"": {}}]
)
async def test_unusual_but_valid_params_are_stored_unchanged(engine, value):
    sent = value.replace("${", "$${") if isinstance(value, str) else value

    execution = await engine.run(plan(job("a", params={"value": sent})))

    assert execution.jobs[0].result == {"value": value}


async def test_metadata_is_stored_unchanged(idle_engine):
    metadata = {"customer": "Zoë 🎬", "deep": {"list": [1, 2.5, None, True]}}

    execution_id = await idle_engine.submit(plan(job("a")), metadata=metadata)

    assert (await idle_engine.execution(execution_id)).metadata == metadata


@pytest.mark.parametrize("value", ['a "b" \\ c', "{1,NULL}", "NULL", "", " ", "a\nb\t,", "é🎬", "\\", '"'])
async def test_texts_are_stored_as_they_were_submitted(idle_engine, value):
    execution_id = await idle_engine.submit(plan(job("NULL", params={"value": value}), job("b", after=["NULL"])))

    execution = await idle_engine.execution(execution_id)
    assert [(each.job_id, each.params, each.depends_on) for each in execution.jobs] == [
        ("NULL", {"value": value}, []),
        ("b", {}, ["NULL"]),
    ]


async def test_the_event_loop_encodes_no_long_arrays_at_a_submission(idle_engine):
    chain = plan(*(job(f"a{n}", after=[f"a{n - 1}"] if n else []) for n in range(200)))
    submission = read_submission({"executionPlan": chain})
    catalog = Catalog([noop])
    rows = ExecutionRows(submission, check_plan(submission.execution_plan, catalog, max_jobs=200), catalog)

    arguments = insertion_arguments([rows])

    arrays = {name for name, value in arguments.items() if not isinstance(value, str) and len(value) > 1}
    assert arrays == {"job_ids", "job_executions"}
