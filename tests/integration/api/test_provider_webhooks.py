"""Webhooks of providers, from a real socket to the job that waits."""

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
def toy(tmp_path):
    """A provider that is never asked by itself: only a webhook brings the end."""
    return FakeProvider(
        tmp_path / "toy",
        capabilities=Capabilities(webhook=True, signed=True, cancel=True),
        poll_policy=PollPolicy(initial=NEVER, max_interval=NEVER, webhook_interval=NEVER),
    )


@pytest.fixture
async def working(settings, catalog, toy):
    async with served(settings, catalog, providers=[toy]) as api:
        await api.engine.start_worker()
        yield api


def message(order, id="m-1", status="succeeded", **more):
    return {"id": order["id"], "message": id, "status": status, **more}


async def call(api, order, body, *, signature="right", token=None, job=None):
    """Call the address of an order as its provider would."""
    url = urlsplit(order["webhook"])
    path = url.path if job is None else re.sub(r"[^/]+$", str(job), url.path)
    given = parse_qs(url.query)["token"][0] if token is None else token
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {SIGNATURE: signature, "Host": "sheet.example"}
    return await api.client.post(path, params={"token": given}, content=content, headers=headers)


async def waiting(api, toy, **params):
    execution_id = await api.submit(("a", "draw", params))
    [order] = await until(toy.requests)
    await api.event(execution_id, "job.waiting")
    return execution_id, order


async def status(api, execution_id):
    [job] = (await api.client.get(f"/api/executions/{execution_id}")).json()["jobs"]
    return job["status"]


async def test_a_webhook_ends_the_waiting_immediately(working, toy):
    execution_id, order = await waiting(working, toy)
    assert order["webhook"].startswith("https://sheet.example/api/webhooks/job/")
    toy.set_status(order["id"], "succeeded", **DONE)

    answer = await call(working, order, message(order))

    assert (answer.status_code, answer.json()) == (200, {"received": True})
    [job] = (await working.ended(execution_id))["jobs"]
    assert (job["status"], job["waitingStrategy"], job["providerJobId"]) == ("succeeded", "webhook", order["id"])


async def test_a_webhook_needs_no_api_key(settings, catalog, toy):
    locked = settings.model_copy(update={"api_key": type(settings.database_url)("sixteen-letters-long")})
    async with served(locked, catalog, providers=[toy]) as api:
        await api.engine.start_worker()
        api.client.headers["Authorization"] = "Bearer sixteen-letters-long"
        _, order = await waiting(api, toy)
        del api.client.headers["Authorization"]

        assert (await call(api, order, message(order))).status_code == 200


async def test_a_wrong_webhook_causes_a_poll_only(working, toy):
    execution_id, order = await waiting(working, toy)

    assert (await call(working, order, message(order))).status_code == 200
    looked = await until(toy.polls)

    await until(lambda: _is(working, execution_id, "waiting"))
    assert looked == 1


async def test_a_repeated_message_causes_no_poll(working, toy):
    execution_id, order = await waiting(working, toy)
    await call(working, order, message(order))
    await until(toy.polls)
    await until(lambda: _is(working, execution_id, "waiting"))

    for _ in range(3):
        assert (await call(working, order, message(order))).status_code == 200

    await asyncio.sleep(0.1)
    assert toy.polls() == 1
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
async def test_forged_malformed_and_huge_webhooks_are_rejected(working, toy, body, given, code):
    execution_id, order = await waiting(working, toy)
    toy.set_status(order["id"], "succeeded", **DONE)
    before = (await working.client.get(f"/api/executions/{execution_id}")).json()["lastEvent"]

    answer = await call(working, order, message(order) if body is None else body, **given)

    assert answer.json()["code"] == code
    assert answer.status_code == {"bad_webhook": 401, "too_large": 413}[code]
    after = (await working.client.get(f"/api/executions/{execution_id}")).json()
    assert (after["lastEvent"], after["jobs"][0]["status"]) == (before, "waiting")


async def test_a_late_webhook_for_an_ended_job_changes_nothing(working, toy):
    execution_id, order = await waiting(working, toy)
    toy.set_status(order["id"], "succeeded", **DONE)
    await call(working, order, message(order))
    ended = await working.ended(execution_id)

    answer = await call(working, order, message(order, "m-2", "starting"))

    assert answer.status_code == 200
    assert (await working.client.get(f"/api/executions/{execution_id}")).json()["lastEvent"] == ended["lastEvent"]


async def test_a_webhook_of_an_unconfigured_provider_can_be_repeated(settings, catalog, toy):
    async with served(settings, catalog, providers=[toy]) as api:
        await api.engine.start_worker()
        execution_id, order = await waiting(api, toy)
        async with served(settings.model_copy(update={"port": free_port()}), catalog, providers=[]) as elsewhere:
            with capture_logs() as logs:
                answer = await call(elsewhere, order, message(order))

        assert (answer.status_code, answer.json()["code"]) == (503, "not_configured")
        assert [(entry["provider"], entry["log_level"]) for entry in logs if "reason" in entry] == [("toy", "error")]
        assert (await api.client.get(f"/api/executions/{execution_id}")).json()["jobs"][0]["status"] == "waiting"


async def test_a_webhook_for_an_unknown_job_is_accepted(working, toy):
    _, order = await waiting(working, toy)

    assert (await call(working, order, message(order), job=new_id())).status_code == 200
    assert (await call(working, order, message(order), job="nonsense")).status_code == 404


async def test_a_webhook_before_the_submit_response_is_not_lost(working, toy):
    execution_id = await working.submit(("a", "draw", {"submit": "hang"}))
    [order] = await until(toy.requests)
    toy.set_status(order["id"], "succeeded", **DONE)
    assert (await call(working, order, message(order))).status_code == 200

    toy.release()

    assert (await working.ended(execution_id))["status"] == "succeeded"


async def test_a_webhook_identifies_the_task_of_a_lost_submission(working, toy):
    execution_id, order = await waiting(working, toy, submit="lose")
    toy.set_status(order["id"], "succeeded", **DONE)

    await call(working, order, message(order))

    [job] = (await working.ended(execution_id))["jobs"]
    assert (job["status"], job["providerJobId"]) == ("succeeded", order["id"])
    assert len(toy.requests()) == 1


async def test_concurrent_webhooks_lead_to_one_result(working, toy):
    execution_id, order = await waiting(working, toy)
    toy.set_status(order["id"], "succeeded", **DONE)

    answers = await asyncio.gather(*(call(working, order, message(order, f"m-{n % 5}")) for n in range(25)))

    assert {answer.status_code for answer in answers} == {200}
    assert len((await working.ended(execution_id))["artifacts"]) == 1


async def test_tokens_and_bodies_are_not_logged(working, toy):
    execution_id, order = await waiting(working, toy)
    token = parse_qs(urlsplit(order["webhook"]).query)["token"][0]
    with capture_logs() as logs:
        await call(working, order, message(order, note="very private"))
        await call(working, order, message(order, "m-2", note="very private"), signature="wrong")
        await call(working, order, message(order, "m-2", note="very private"), token="guessed")
        toy.set_status(order["id"], "succeeded", **DONE)
        await call(working, order, message(order, "m-3"))
        await working.ended(execution_id)

    assert logs
    for secret in (token, "very private", "guessed"):
        assert secret not in str(logs)
    events = (await working.client.get(f"/api/executions/{execution_id}")).text
    assert token not in events


async def _is(api, execution_id, wanted):
    return await status(api, execution_id) == wanted
