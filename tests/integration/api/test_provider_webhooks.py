"""Webhooks of providers, from a real socket to the waiting job."""

import asyncio
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from callsheet.domain.ids import new_id
from callsheet.providers.contract import Capabilities, PollPolicy
from callsheet.testing.fake_provider import SIGNATURE, FakeProvider
from callsheet.testing.waiters import until

from .conftest import free_port, served

NEVER = timedelta(hours=1)
DONE = {"files": {"picture.txt": "a picture"}}


@pytest.fixture
def settings(settings):
    return settings.model_copy(
        update={
            "public_url": "https://sheet.example",
            "provider_poll_interval": timedelta(seconds=0.02),
            "submission_recovery_timeout": timedelta(minutes=1),
            "webhook_max_bytes": 4096,
        }
    )


@pytest.fixture
def fake(tmp_path):
    """A provider that is never polled on its own: only a webhook ends a job."""
    return FakeProvider(
        tmp_path / "toy",
        capabilities=Capabilities(webhook=True, signed=True, cancel=True),
        poll_policy=PollPolicy(initial=NEVER, max_interval=NEVER, webhook_interval=NEVER),
    )


@pytest.fixture
async def working(settings, catalog, fake):
    async with served(settings, catalog, providers=[fake]) as api:
        await api.engine.start_worker()
        yield api


def message(request, id="m-1", status="succeeded", **more):
    return {"id": request["id"], "message": id, "status": status, **more}


async def send_webhook(api, request, body, *, signature="right", token=None, job=None):
    """Send a webhook to the URL of a submission, as its provider does."""
    url = urlsplit(request["webhook"])
    path = url.path if job is None else re.sub(r"[^/]+$", str(job), url.path)
    given = parse_qs(url.query)["token"][0] if token is None else token
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {SIGNATURE: signature, "Host": "sheet.example"}
    return await api.client.post(path, params={"token": given}, content=content, headers=headers)


async def waiting(api, fake, **params):
    execution_id = await api.submit(("a", "draw", params))
    [request] = await until(fake.requests)
    await api.event(execution_id, "job.waiting")
    return execution_id, request


async def status(api, execution_id):
    [job] = (await api.client.get(f"/api/executions/{execution_id}")).json()["jobs"]
    return job["status"]


async def test_a_webhook_ends_the_waiting_immediately(working, fake):
    execution_id, request = await waiting(working, fake)
    assert request["webhook"].startswith("https://sheet.example/api/webhooks/job/")
    fake.set_status(request["id"], "succeeded", **DONE)

    response = await send_webhook(working, request, message(request))

    assert (response.status_code, response.json()) == (200, {"received": True})
    [job] = (await working.ended(execution_id))["jobs"]
    assert (job["status"], job["waitingStrategy"], job["providerJobId"]) == ("succeeded", "webhook", request["id"])


async def test_a_webhook_needs_no_api_key(settings, catalog, fake):
    locked = settings.model_copy(update={"api_key": type(settings.database_url)("sixteen-letters-long")})
    async with served(locked, catalog, providers=[fake]) as api:
        await api.engine.start_worker()
        api.client.headers["Authorization"] = "Bearer sixteen-letters-long"
        _, request = await waiting(api, fake)
        del api.client.headers["Authorization"]

        assert (await send_webhook(api, request, message(request))).status_code == 200


async def test_a_wrong_webhook_causes_a_poll_only(working, fake):
    execution_id, request = await waiting(working, fake)

    assert (await send_webhook(working, request, message(request))).status_code == 200
    polls = await until(fake.polls)

    await until(lambda: _is(working, execution_id, "waiting"))
    assert polls == 1


async def test_a_repeated_message_causes_no_poll(working, fake):
    execution_id, request = await waiting(working, fake)
    await send_webhook(working, request, message(request))
    await until(fake.polls)
    await until(lambda: _is(working, execution_id, "waiting"))

    for _ in range(3):
        assert (await send_webhook(working, request, message(request))).status_code == 200

    await asyncio.sleep(0.1)  # sleep: no poll may follow
    assert fake.polls() == 1
    assert await status(working, execution_id) == "waiting"


@pytest.mark.parametrize(
    ("body", "given", "code"),
    [
        (None, {"signature": "wrong"}, "bad_webhook"),
        (None, {"token": "guessed"}, "bad_webhook"),
        (None, {"token": ""}, "bad_webhook"),
        (b"{", {}, "bad_webhook"),
        (b"[]", {}, "bad_webhook"),
        (b"\xff\xfe" * 100, {}, "bad_webhook"),
        ({"id": "another task", "message": "m", "status": "done"}, {}, "bad_webhook"),
        (b"x" * 5000, {}, "too_large"),
    ],
)
async def test_forged_malformed_and_huge_webhooks_are_rejected(working, fake, body, given, code):
    execution_id, request = await waiting(working, fake)
    fake.set_status(request["id"], "succeeded", **DONE)
    before = (await working.client.get(f"/api/executions/{execution_id}")).json()["lastEvent"]

    response = await send_webhook(working, request, message(request) if body is None else body, **given)

    assert response.json()["code"] == code
    assert response.status_code == {"bad_webhook": 401, "too_large": 413}[code]
    after = (await working.client.get(f"/api/executions/{execution_id}")).json()
    assert (after["lastEvent"], after["jobs"][0]["status"]) == (before, "waiting")


async def test_a_late_webhook_for_an_ended_job_changes_nothing(working, fake):
    execution_id, request = await waiting(working, fake)
    fake.set_status(request["id"], "succeeded", **DONE)
    await send_webhook(working, request, message(request))
    ended = await working.ended(execution_id)

    response = await send_webhook(working, request, message(request, "m-2", "starting"))

    assert response.status_code == 200
    assert (await working.client.get(f"/api/executions/{execution_id}")).json()["lastEvent"] == ended["lastEvent"]


async def test_a_webhook_of_an_unconfigured_provider_can_be_repeated(settings, catalog, fake):
    async with served(settings, catalog, providers=[fake]) as api:
        await api.engine.start_worker()
        execution_id, request = await waiting(api, fake)
        async with served(settings.model_copy(update={"port": free_port()}), catalog, providers=[]) as elsewhere:
            with capture_logs() as logs:
                response = await send_webhook(elsewhere, request, message(request))

        assert (response.status_code, response.json()["code"]) == (503, "not_configured")
        assert [(entry["provider"], entry["log_level"]) for entry in logs if "reason" in entry] == [("toy", "error")]
        assert (await api.client.get(f"/api/executions/{execution_id}")).json()["jobs"][0]["status"] == "waiting"


async def test_a_webhook_for_an_unknown_job_is_accepted(working, fake):
    _, request = await waiting(working, fake)

    assert (await send_webhook(working, request, message(request), job=new_id())).status_code == 200
    assert (await send_webhook(working, request, message(request), job="nonsense")).status_code == 404


async def test_a_webhook_before_the_submit_response_is_not_lost(working, fake):
    execution_id = await working.submit(("a", "draw", {"submit": "hang"}))
    [request] = await until(fake.requests)
    fake.set_status(request["id"], "succeeded", **DONE)
    assert (await send_webhook(working, request, message(request))).status_code == 200

    fake.release()

    assert (await working.ended(execution_id))["status"] == "succeeded"


async def test_a_webhook_identifies_the_task_of_a_lost_submission(working, fake):
    execution_id, request = await waiting(working, fake, submit="lose")
    fake.set_status(request["id"], "succeeded", **DONE)

    await send_webhook(working, request, message(request))

    [job] = (await working.ended(execution_id))["jobs"]
    assert (job["status"], job["providerJobId"]) == ("succeeded", request["id"])
    assert len(fake.requests()) == 1


async def test_concurrent_webhooks_lead_to_one_result(working, fake):
    execution_id, request = await waiting(working, fake)
    fake.set_status(request["id"], "succeeded", **DONE)

    responses = await asyncio.gather(
        *(send_webhook(working, request, message(request, f"m-{n % 5}")) for n in range(25))
    )

    assert {response.status_code for response in responses} == {200}
    assert len((await working.ended(execution_id))["artifacts"]) == 1


async def test_tokens_and_bodies_are_not_logged(working, fake):
    execution_id, request = await waiting(working, fake)
    token = parse_qs(urlsplit(request["webhook"]).query)["token"][0]
    with capture_logs() as logs:
        await send_webhook(working, request, message(request, note="very private"))
        await send_webhook(working, request, message(request, "m-2", note="very private"), signature="wrong")
        await send_webhook(working, request, message(request, "m-2", note="very private"), token="guessed")
        fake.set_status(request["id"], "succeeded", **DONE)
        await send_webhook(working, request, message(request, "m-3"))
        await working.ended(execution_id)

    assert logs
    for secret in (token, "very private", "guessed"):
        assert secret not in str(logs)
    events = (await working.client.get(f"/api/executions/{execution_id}")).text
    assert token not in events


async def _is(api, execution_id, wanted):
    return await status(api, execution_id) == wanted
