"""State of operations: written with the completion of the job, once, all or nothing."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from claiming import claimer
from plans import job, plan

from callsheet.db.statements import sql
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import DiskFull, StateConflict
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model
from callsheet.domain.statuses import JobStatus
from callsheet.engine.jobs.complete import complete
from callsheet.engine.jobs.completer import Completer
from callsheet.engine.jobs.outcomes import Outcome
from callsheet.engine.jobs.state_writes import StateWrite
from callsheet.files.storage import Storage
from callsheet.operation_api.contract import Context, operation
from callsheet.testing.engine import running_engine


class KeepParams(Model):
    deal: str
    version: int = 0
    value: int | str = 1
    fail: bool = False
    read: str = "get_deal"
    gate: str | None = None


class Kept(Model):
    found: int


def deal_values(deal, version=0, value=1, execution_id=None):
    names = {"tenant": "t", "deal": deal, "stage": None, "stage_at": None, "value_at": None, "contacts": []}
    return {**names, "value": value, "version": version, "execution_id": execution_id or new_id()}


@operation("keep-deal", queue="test", attempts=2)
async def keep_deal(job: Context, params: KeepParams) -> Kept:
    """Store a deal."""
    values = deal_values(params.deal, params.version, params.value, job.execution_id)
    found = await job.store.read(params.read, **values)
    job.store.write_with_completion("store_deal", lock="ads/t", **values)
    if params.gate:
        await asyncio.Event().wait()
    if params.fail:
        raise ValueError("failed on purpose")
    return Kept(found=len(found))


@pytest.fixture
async def keeping(settings):
    async with running_engine([keep_deal], settings=settings, lanes={"test": 30}) as engine:
        yield engine


async def deals(engine):
    async with engine.runtime.database.connection() as connection:
        rows = await connection.fetch("SELECT deal, version FROM ad_deals ORDER BY deal")
    return {row["deal"]: row["version"] for row in rows}


async def test_a_write_takes_effect_with_the_success_and_the_next_job_reads_it(keeping):
    first = job("a", "keep-deal", params={"deal": "d"})
    second = job("b", "keep-deal", params={"deal": "d", "version": 1}, dependsOn=["a"])

    execution = await keeping.run(plan(first, second))

    assert [each.result for each in execution.jobs] == [{"found": 0}, {"found": 1}]
    assert await deals(keeping) == {"d": 2}


async def test_a_conflict_is_retried_and_fails_only_its_own_job(keeping):
    jobs = [job(f"j{n}", "keep-deal", params={"deal": f"d{n}", "version": int(n == 7)}) for n in range(20)]

    execution = await keeping.run(plan(*jobs))

    failed = [each for each in execution.jobs if each.status != "succeeded"]
    assert [(each.job_id, each.error.code, each.error.attempt) for each in failed] == [("j7", "state_conflict", 2)]
    assert await deals(keeping) == {f"d{n}": 1 for n in range(20) if n != 7}


async def test_values_of_a_wrong_type_fail_only_their_own_job_and_are_not_retried(keeping):
    jobs = [job("good", "keep-deal", params={"deal": "a"}), job("bad", "keep-deal", params={"deal": "b", "value": "x"})]

    execution = await keeping.run(plan(*jobs, job("writes", "keep-deal", params={"deal": "c", "read": "store_deal"})))

    errors = {each.job_id: each.error and each.error.code for each in execution.jobs}
    assert errors == {"good": None, "bad": "internal_error", "writes": "internal_error"}
    assert await deals(keeping) == {"a": 1}


async def test_failed_and_cancelled_runs_write_nothing(keeping):
    execution_id = await keeping.submit(
        plan(
            job("fails", "keep-deal", params={"deal": "a", "fail": True}),
            job("waits", "keep-deal", params={"deal": "b", "gate": "closed"}),
        )
    )
    await keeping.wait(execution_id, "job.running", job="waits")
    await keeping.cancel(execution_id, job="waits")
    execution = await keeping.ended(execution_id)

    assert {each.status for each in execution.jobs} == {"failed", "cancelled"}
    assert await deals(keeping) == {}


def outcome(claimed, epoch, write):
    return Outcome(
        claimed.id, claimed.execution_id, epoch, JobStatus.SUCCEEDED, result='{"found": 0}', state_writes=(write,)
    )


async def test_a_run_that_lost_its_job_writes_nothing_and_no_run_writes_twice(settings):
    async with running_engine([keep_deal], settings=settings, workers=0) as engine:
        await engine.submit(plan(job("a", "keep-deal", params={"deal": "d"})))
        _, claims = await claimer(engine.runtime.database, "w", "keep-deal")
        [claimed] = (await claims.claim("test", 1)).jobs
        touch = {
            "tenant": "t",
            "subject_kinds": ["deal"],
            "subjects": ["d"],
            "times": [shared_now()],
            "ads": ["x"],
            "kinds": ["click"],
        }
        late = outcome(claimed, claimed.epoch - 1, StateWrite(sql.store_deal, "ads/t", deal_values("late")))
        own = outcome(claimed, claimed.epoch, StateWrite(sql.store_deal, "ads/t", deal_values("own")))
        again = outcome(claimed, claimed.epoch, StateWrite(sql.add_touches, "ads/t", touch))

        async with engine.runtime.database.transaction() as connection:
            assert await complete(connection, [late]) == {}
            assert await complete(connection, [own]) == {own.key: JobStatus.SUCCEEDED}
            assert await complete(connection, [again]) == {}
            assert await connection.fetchval("SELECT count(*) FROM ad_touches") == 0
        assert await deals(engine) == {"own": 1}


async def test_a_batch_with_a_bad_write_records_the_others(settings):
    async with running_engine([keep_deal], settings=settings, workers=0) as engine:
        await engine.submit(plan(*(job(f"j{n}", "keep-deal", params={"deal": f"d{n}"}) for n in range(3))))
        _, claims = await claimer(engine.runtime.database, "w", "keep-deal")
        claimed = (await claims.claim("test", 3)).jobs
        values = [deal_values("a"), deal_values("b", version=4), deal_values("c", version="x")]
        completer = Completer(engine.runtime.database)
        running = asyncio.create_task(completer.run())
        outcomes = [
            outcome(each, each.epoch, StateWrite(sql.store_deal, "ads/t", write))
            for each, write in zip(claimed, values, strict=True)
        ]
        found = await asyncio.gather(*(completer.record(each) for each in outcomes), return_exceptions=True)
        running.cancel()

        assert found[0] is JobStatus.SUCCEEDED
        assert [type(error) for error in found[1:]] == [StateConflict, asyncpg.DataError]
        assert await deals(engine) == {"a": 1}


async def test_unknown_statements_and_missing_values_are_refused_at_once(keeping):
    execution = await keeping.run(plan(job("a", "keep-deal", params={"deal": "d", "read": "get_dael"})))

    assert execution.jobs[0].error.code == "internal_error"
    assert "unknown SQL statement 'get_dael'" in execution.jobs[0].error.message


@operation("keep-file-and-deal", queue="test", attempts=3)
async def keep_file_and_deal(job: Context, params: KeepParams) -> Kept:
    """Store a file, and a deal."""
    path = job.dir / "deal.txt"
    path.write_text(params.deal)
    await job.keep(path)
    values = deal_values(params.deal, params.version, params.value, job.execution_id)
    job.store.write_with_completion("store_deal", lock="ads/t", **values)
    return Kept(found=0)


async def test_a_run_whose_files_the_storage_refused_writes_its_state_when_it_is_repeated(settings, monkeypatch):
    put, refusals = Storage.put, iter([True])

    async def put_later(self, *args, **options):
        if next(refusals, False):
            raise DiskFull("There is no space left in the folder")
        return await put(self, *args, **options)

    monkeypatch.setattr(Storage, "put", put_later)
    settings = settings.model_copy(update={"storage_outage_timeout": timedelta(0)})
    async with running_engine([keep_file_and_deal], settings=settings) as engine:
        execution = await engine.run(plan(job("a", "keep-file-and-deal", params={"deal": "d"})))

        assert (execution.jobs[0].status, execution.jobs[0].attempts) == ("succeeded", 1)
        assert await deals(engine) == {"d": 1}
