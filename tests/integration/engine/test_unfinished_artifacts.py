"""Artifacts that are stored before the end of their run."""

from types import SimpleNamespace as ClaimedRun

import pytest
from plans import job, plan

from callsheet.domain.artifacts import Artifact
from callsheet.domain.ids import new_id
from callsheet.engine.jobs.artifact_rows import store_unfinished_artifact
from callsheet.testing.engine import running_engine
from callsheet.testing.operations import write


@pytest.fixture
async def engine(settings):
    settings = settings.model_copy(update={"retry_base": settings.retry_base / 1000})
    async with running_engine([write], settings=settings) as engine:
        yield engine


async def contents(engine, artifact):
    return b"".join([chunk async for chunk in engine.runtime.storage.stream(artifact.key)])


async def test_a_file_stored_at_once_survives_the_failure_of_its_run(engine):
    params = {"atOnce": True, "failures": 9}
    execution = await engine.run(plan(job("a", "write", params=params, retries=0)))

    assert execution.status == "failed"
    [artifact] = execution.artifacts
    assert artifact.from_unfinished_run
    assert await contents(engine, artifact) == b"written"


async def test_a_file_that_is_not_stored_at_once_is_deleted_with_its_failed_run(engine):
    execution = await engine.run(plan(job("a", "write", params={"failures": 9}, retries=0)))

    assert execution.status == "failed"
    assert execution.artifacts == []


async def test_a_file_stored_at_once_is_an_artifact_while_the_job_runs(engine, tmp_path):
    go = tmp_path / "go"
    execution_id = await engine.submit(plan(job("a", "write", params={"atOnce": True, "waitFor": str(go)})))
    await engine.wait(execution_id, "job.running", job="a")
    await engine.wait(execution_id, "job.output", job="a")
    found = (await engine.execution(execution_id)).artifacts

    assert found[0].from_unfinished_run
    go.touch()
    execution = await engine.ended(execution_id)
    assert [a.from_unfinished_run for a in execution.artifacts] == [False]
    assert execution.artifacts[0].artifact_id == found[0].artifact_id
    assert await contents(engine, execution.artifacts[0]) == b"written"


async def test_a_later_run_does_not_change_the_files_of_the_failed_one(engine):
    execution = await engine.run(plan(job("a", "write", params={"atOnce": True, "failures": 1})))

    assert execution.status == "succeeded"
    first, second = execution.artifacts
    assert (first.from_unfinished_run, second.from_unfinished_run) == (True, False)
    assert first.key != second.key
    assert execution.jobs[0].result["file"]["artifactId"] == str(second.artifact_id)
    for artifact in (first, second):
        assert await contents(engine, artifact) == b"written"


async def test_a_file_stored_at_once_survives_a_cancellation(engine, tmp_path):
    params = {"atOnce": True, "waitFor": str(tmp_path / "never")}
    execution_id = await engine.submit(plan(job("a", "write", params=params)))
    await engine.wait(execution_id, "job.output", job="a")
    await engine.cancel(execution_id)
    execution = await engine.ended(execution_id)

    assert execution.status == "cancelled"
    assert [a.from_unfinished_run for a in execution.artifacts] == [True]
    assert await contents(engine, execution.artifacts[0]) == b"written"


async def test_a_run_that_has_lost_its_job_stores_no_artifact(engine):
    execution = await engine.run(plan(job("a", "write")))
    database, record = engine.runtime.database, execution.jobs[0].id
    stored = execution.artifacts[0]
    late = Artifact(
        artifact_id=new_id(), name="late.txt", key="late", media_type="text/plain", size=1, sha256=stored.sha256
    )
    job_of_late_run = ClaimedRun(id=record, execution_id=execution.execution_id, epoch=1)

    async with database.transaction() as connection:
        assert not await store_unfinished_artifact(connection, job_of_late_run, late)
    assert [a.name for a in (await engine.execution(execution.execution_id)).artifacts] == [stored.name]
