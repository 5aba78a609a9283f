"""Held submissions: nothing is sent to a provider before a person releases it; and tasks that no submission knows."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from callsheet.engine.submissions.unknown_tasks import find_unknown_tasks
from callsheet.fakes.providers.luma import FakeLuma
from callsheet.fakes.providers.openai_videos import FakeOpenAIVideos
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.providers.catalog import discover_providers
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until

from .conftest import served

SOON = timedelta(seconds=0.02)
VIDEO = ("film", "generate", {"modelId": "bytedance/seedance-1-pro", "prompt": "fox", "provider": "replicate"})


@pytest.fixture
def settings(settings):
    polls = {"provider_poll_initial": SOON, "provider_poll_max": SOON, "provider_poll_interval": SOON}
    return settings.model_copy(update={**polls, "hold_submissions": True})


@pytest.fixture
async def replicate():
    async with FakeReplicate() as fake:
        yield fake


@asynccontextmanager
async def service(settings, replicate):
    async with served(settings, Catalog([*ALL, generate]), provider_settings=[replicate.provider_settings()]) as api:
        await api.engine.start_worker()
        yield api


@pytest.fixture
async def api(settings, replicate):
    async with service(settings, replicate) as api:
        yield api


async def held(api):
    return (await api.client.get("/api/providers/held")).json()["submissions"]


async def submit_held(api):
    execution_id = await api.submit(VIDEO)
    await api.event(execution_id, "job.waiting")
    return execution_id


async def release(api, **what):
    response = await api.client.post("/api/providers/release", json=what)
    assert response.status_code == 200, response.text
    return response.json()["released"]


async def test_a_submission_is_sent_only_after_its_release(api, replicate):
    execution_id = await submit_held(api)

    [job] = (await api.client.get(f"/api/executions/{execution_id}")).json()["jobs"]
    page = (await api.client.get(f"/executions/{execution_id}")).text
    assert (job["status"], job["waitReason"]["code"]) == ("waiting", "submission_held")
    assert job["waitReason"]["message"].endswith(f"To send it: callsheet providers release {execution_id}")
    assert f"callsheet providers release {execution_id}" in page
    assert [(each["executionId"], each["jobId"], each["provider"]) for each in await held(api)] == [
        (execution_id, "film", "replicate")
    ]
    assert replicate.paid == 0 and replicate.requests_of("submit") == []

    assert await release(api, ids=[execution_id]) == 1

    ended = await api.ended(execution_id)
    assert (ended["status"], replicate.paid, await held(api)) == ("succeeded", 1, [])


async def test_jobs_without_a_provider_go_on(api):
    await submit_held(api)

    other = await api.ended(await api.submit(("a", "noop", {})))

    assert other["status"] == "succeeded"


async def test_a_held_submission_outlasts_the_worker_and_its_option(settings, replicate):
    async with service(settings, replicate) as api:
        execution_id = await submit_held(api)
    async with service(settings.model_copy(update={"hold_submissions": False}), replicate) as api:
        later = await api.ended(await api.submit(VIDEO))
        assert (later["status"], replicate.paid, len(await held(api))) == ("succeeded", 1, 1)

        assert await release(api, ids=[execution_id]) == 1
        assert (await api.ended(execution_id))["status"] == "succeeded"
    assert replicate.paid == 2


async def test_all_held_submissions_are_released_at_once_and_those_of_another_provider_are_not(api, replicate):
    executions = [await submit_held(api) for _ in range(3)]

    assert await release(api, all=True, provider="fal") == 0
    assert len(await held(api)) == 3
    assert await release(api, all=True) == 3

    assert [(await api.ended(each))["status"] for each in executions] == ["succeeded"] * 3
    assert replicate.paid == 3


async def test_a_release_in_advance_holds_for_later_submissions_of_the_execution(api, replicate):
    await api.client.patch("/api/queues/generate", json={"paused": True})
    execution_id = await api.submit(VIDEO)

    assert await release(api, ids=[execution_id]) == 0
    await api.client.patch("/api/queues/generate", json={"paused": False})

    assert (await api.ended(execution_id))["status"] == "succeeded"
    events = [event.type for event in await api.engine.events(UUID(execution_id))]
    assert (replicate.paid, events.count("job.waiting")) == (1, 1)


async def test_a_held_job_can_be_cancelled_and_its_retry_is_held_again(api, replicate):
    execution_id = await submit_held(api)

    await api.client.post(f"/api/executions/{execution_id}/cancel")
    assert (await api.ended(execution_id))["status"] == "cancelled"
    assert await held(api) == [] and await release(api, ids=[execution_id]) == 0
    await api.client.post(f"/api/executions/{execution_id}/retry", json={})
    await until(lambda: held(api))

    assert replicate.paid == 0


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({}, 422),
        ({"ids": ["019ab1f0-0000-7000-8000-000000000001"], "all": True}, 422),
        ({"ids": ["019ab1f0-0000-7000-8000-000000000001"], "provider": "fal"}, 422),
        ({"ids": ["019ab1f0-0000-7000-8000-000000000001"]}, 404),
        ({"ids": ["x"]}, 422),
    ],
)
async def test_a_release_names_ids_or_all(what, status, api):
    assert (await api.client.post("/api/providers/release", json=what)).status_code == status


async def forget_submissions(api, execution_id):
    """Delete what a restore of an older backup loses."""
    async with api.runtime.database.connection() as connection:
        await connection.execute(
            "DELETE FROM submissions WHERE job IN (SELECT id FROM execution_jobs WHERE execution_id = $1)",
            UUID(execution_id),
        )


async def cli(settings, *arguments, environment):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callsheet", *arguments),
        env={
            **os.environ,
            **environment,
            "CALLSHEET_DATABASE_URL": settings.database_url.get_secret_value(),
            "CALLSHEET_DATA_DIR": str(settings.data_dir),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_reconcile_lists_tasks_that_the_database_has_lost(settings, replicate):
    async with (
        FakeLuma() as luma,
        service(settings.model_copy(update={"hold_submissions": False}), replicate) as api,
    ):
        known, lost = [await api.ended(await api.submit(VIDEO)) for _ in range(2)]
        await forget_submissions(api, lost["executionId"])
        sent = len(replicate.requests_of("submit")) + len(replicate.requests_of("cancel"))
        environment = {**replicate.environment(), **luma.environment()}

        code, out, err = await cli(settings, "providers", "reconcile", "--json", environment=environment)

        assert code == 0, err
        found = {each["provider"]: each for each in json.loads(out)["providers"]}
        [unknown] = found["replicate"]["unknownTasks"]
        assert unknown["id"] == lost["jobs"][0]["providerJobId"] != known["jobs"][0]["providerJobId"]
        assert (unknown["status"], found["replicate"]["listed"]) == ("succeeded", 2)
        assert (found["luma"]["canList"], found["luma"]["unknownTasks"]) == (False, [])
        code, out, err = await cli(settings, "providers", "reconcile", environment=environment)
        assert unknown["id"] in out and "luma: The API of luma cannot list tasks." in err
        assert len(replicate.requests_of("submit")) + len(replicate.requests_of("cancel")) == sent


async def test_the_list_of_a_videos_server_is_read_to_its_end(api):
    async with FakeOpenAIVideos() as server:
        async with discover_providers(
            api.runtime.settings, provider_settings=[server.provider_settings()]
        ) as providers:
            for _ in range(205):
                await server.accept(server.model, {"prompt": "fox"})

            found = await find_unknown_tasks(
                api.runtime.database, providers["videos"], datetime.now(UTC) - timedelta(hours=1)
            )

        assert (found.listed, len({task.id for task in found.unknown})) == (205, 205)
        assert len(server.requests_of("list")) == 3


async def test_a_provider_that_does_not_respond_is_reported(settings, api, replicate):
    environment = {**replicate.environment(), "CALLSHEET_REPLICATE_URL": "http://127.0.0.1:1"}

    code, out, _ = await cli(settings, "providers", "reconcile", "replicate", "--json", environment=environment)

    [record] = json.loads(out)["providers"]
    assert (code, record["problem"]) == (6, "replicate did not respond: ConnectError")
