"""Workers that are killed while their jobs submit to, wait for and collect from a provider."""

from datetime import timedelta

import pytest

from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.waiters import until

DONE = {"files": {"image.txt": "an image"}}


@pytest.fixture
def settings(settings):
    return settings.model_copy(
        update={"provider_poll_interval": timedelta(seconds=0.05), "submission_recovery_timeout": timedelta(seconds=10)}
    )


@pytest.fixture
def fake(tmp_path):
    return FakeProvider(tmp_path / "fake")


def image(**params):
    return {"jobs": [{"id": "image", "operation": "draw", "params": params}]}


async def check_one_submission(engine, execution_id, fake):
    execution = await engine.ended(execution_id, timeout=60)
    assert execution.status == "succeeded", execution.jobs[0].error
    assert [file.name for file in execution.artifacts] == ["image.txt"]
    assert len(fake.requests()) == 1


async def test_workers_killed_while_a_job_waits_or_collects_cause_no_second_submission(
    engine, settings, start, tmp_path, fake
):
    gate, started = tmp_path / "gate", tmp_path / "started"
    environment = {"CALLSHEET_TESTING_FAKE_PROVIDER": str(tmp_path / "fake")}
    first = start(settings, "first", **environment).ready()
    execution_id = await engine.submit(image(started=str(started), until=str(gate)))
    [submission] = await until(fake.requests)
    await engine.wait(execution_id, "job.waiting")
    first.kill()
    fake.set_status(submission["id"], "succeeded", **DONE)

    second = start(settings, "second", **environment).ready()
    await until(started.exists, timeout=30)
    second.kill()
    gate.touch()
    start(settings, "third", **environment).ready()

    await check_one_submission(engine, execution_id, fake)
    assert len(started.read_text().split()) == 2


async def test_a_submission_in_flight_of_a_killed_worker_is_found_by_the_next(engine, settings, start, tmp_path, fake):
    environment = {"CALLSHEET_TESTING_FAKE_PROVIDER": str(tmp_path / "fake")}
    first = start(settings, "first", **environment).ready()
    execution_id = await engine.submit(image(submit="hang"))
    [submission] = await until(fake.requests)
    first.kill()
    fake.set_status(submission["id"], "succeeded", **DONE)

    start(settings, "second", **environment).ready()

    await check_one_submission(engine, execution_id, fake)
