"""Workers that are killed while their jobs order, wait for and collect from a provider."""

from datetime import timedelta

import pytest

from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.waiters import until

DONE = {"files": {"picture.txt": "a picture"}}


@pytest.fixture
def settings(settings):
    return settings.model_copy(
        update={"provider_poll_interval": timedelta(seconds=0.05), "submission_recovery_timeout": timedelta(seconds=10)}
    )


@pytest.fixture
def toy(tmp_path):
    return FakeProvider(tmp_path / "toy")


def picture(**params):
    return {"jobs": [{"id": "picture", "operation": "draw", "params": params}]}


async def ended_with_one_order(engine, execution_id, toy):
    execution = await engine.ended(execution_id, timeout=60)
    assert execution.status == "succeeded", execution.jobs[0].error
    assert [file.name for file in execution.artifacts] == ["picture.txt"]
    assert len(toy.requests()) == 1


async def test_a_worker_killed_while_a_job_waits_and_one_while_it_collects_cost_nothing(
    engine, settings, start, tmp_path, toy
):
    gate, started = tmp_path / "gate", tmp_path / "started"
    environment = {"CALLSHEET_TESTING_FAKE_PROVIDER": str(tmp_path / "toy")}
    first = start(settings, "first", **environment).ready()
    execution_id = await engine.submit(picture(started=str(started), until=str(gate)))
    [order] = await until(toy.requests)
    await engine.wait(execution_id, "job.waiting")
    first.kill()
    toy.set_status(order["id"], "succeeded", **DONE)

    second = start(settings, "second", **environment).ready()
    await until(started.exists, timeout=30)
    second.kill()
    gate.touch()
    start(settings, "third", **environment).ready()

    await ended_with_one_order(engine, execution_id, toy)
    assert len(started.read_text().split()) == 2


async def test_a_worker_killed_while_its_order_is_on_the_way_is_followed_by_one_that_finds_it(
    engine, settings, start, tmp_path, toy
):
    environment = {"CALLSHEET_TESTING_FAKE_PROVIDER": str(tmp_path / "toy")}
    first = start(settings, "first", **environment).ready()
    execution_id = await engine.submit(picture(submit="hang"))
    [order] = await until(toy.requests)
    first.kill()
    toy.set_status(order["id"], "succeeded", **DONE)

    start(settings, "second", **environment).ready()

    await ended_with_one_order(engine, execution_id, toy)
