import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from callsheet.fakes.providers.all import FAKES, all_fakes, environment_of
from callsheet.fakes.providers.faults import CutConnection, NoFault, ReplaceFields
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.fakes.providers.task_script import Queued, Running, Succeeded, sample_image, sample_video
from callsheet.fakes.providers.webhook_receiver import open_webhook_receiver
from callsheet.fakes.providers.webhook_script import WebhookScript
from callsheet.media.probing.probe import probe
from callsheet.providers.catalog import discover_providers
from callsheet.settings import Settings

AUTHORIZED = {"Authorization": f"Bearer {FakeReplicate.key}"}


async def ordered(fake: FakeReplicate, webhook: str | None = None) -> dict:
    order = {"version": "a/b", "input": {}, **({"webhook": webhook} if webhook else {})}
    async with httpx2.AsyncClient() as client:
        return (await client.post(f"{fake.base_url}/v1/predictions", headers=AUTHORIZED, json=order)).json()


async def test_served_files_are_real(tmp_path: Path) -> None:
    found = []
    for file in (sample_video(), sample_image()):
        (tmp_path / file.name).write_bytes(file.data)
        found.append(await probe(tmp_path / file.name))

    assert [(each.width, each.height) for each in found] == [(64, 64), (64, 64)]
    assert (found[0].frames, found[0].audio_codec) == (12, "aac")


async def test_a_poll_advances_a_task_and_with_a_pace_time_does() -> None:
    async with FakeReplicate() as slow, FakeReplicate(pace=0.01) as quick, open_webhook_receiver() as receiver:
        for fake in (slow, quick):
            fake.script(Queued(), Running(), Succeeded())
            await ordered(fake, receiver.url)

        [webhook] = await receiver.received()

        assert json.loads(webhook.body)["status"] == "succeeded"
        [untouched] = slow.tasks.values()
        assert untouched.stage == Queued()


@pytest.mark.parametrize(
    ("calls", "statuses"),
    [
        (WebhookScript(), ["succeeded"]),
        (WebhookScript(times=2), ["succeeded", "succeeded"]),
        (WebhookScript(reordered=True), ["succeeded", "starting"]),
        (WebhookScript(delay=0.01), ["succeeded"]),
        (WebhookScript(body=b'{"status": "odd"}'), ["odd"]),
        (WebhookScript(times=0), []),
    ],
)
async def test_webhooks_follow_their_script(calls: WebhookScript, statuses: list[str]) -> None:
    async with FakeReplicate() as fake, open_webhook_receiver() as receiver:
        fake.inject_faults(webhook=[calls])
        await fake.finish((await ordered(fake, receiver.url))["id"])

    assert [json.loads(webhook.body)["status"] for webhook in receiver.webhooks] == statuses
    assert [reported.status for reported in fake.sent_webhooks] == [200] * len(statuses)


async def test_a_webhook_can_arrive_before_the_response() -> None:
    async with FakeReplicate() as fake, open_webhook_receiver() as receiver:
        fake.inject_faults(webhook=[WebhookScript(before_response=True)])
        answering = asyncio.create_task(ordered(fake, receiver.url))

        await receiver.received()
        [reported] = (json.loads(webhook.body)["id"] for webhook in receiver.webhooks)

        assert (await answering)["id"] == reported


async def test_an_undelivered_webhook_is_recorded() -> None:
    async with FakeReplicate() as fake:
        await fake.finish((await ordered(fake, "http://127.0.0.1:1/"))["id"])

    assert [reported.status for reported in fake.sent_webhooks] == [0]


async def test_faults_are_used_in_order() -> None:
    async with FakeReplicate() as fake:
        fake.inject_faults(submit=[CutConnection(accepted=True), NoFault(), ReplaceFields({"id": "other"})])
        with pytest.raises(httpx2.RemoteProtocolError):
            await ordered(fake)

        assert (await ordered(fake))["id"] in fake.tasks
        assert (await ordered(fake))["id"] == "other"
        assert (await ordered(fake))["id"] in fake.tasks
        assert fake.paid == len(fake.requests_of("submit")) == 4


async def test_without_the_key_requests_are_rejected() -> None:
    async with FakeReplicate() as fake, httpx2.AsyncClient() as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await client.post(f"{fake.base_url}/v1/predictions", headers=headers, json={"input": {}})
            assert answer.status_code == 401
        assert (await client.get(f"{fake.base_url}/nowhere")).status_code == 404

    assert fake.paid == 0
    assert [sent.kind for sent in fake.requests] == ["submit", "submit", "unknown"]


async def test_the_environment_of_all_fakes_connects_all_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with all_fakes(pace=0.01) as fakes:
        for name, value in environment_of(fakes).items():
            monkeypatch.setenv(name, value)
        async with discover_providers(Settings(_env_file=None)) as providers:
            for fake in fakes:
                task = await providers[fake.name].submit(fake.example_request())
                assert task.id in fake.tasks

    assert len(fakes) == len(FAKES) == len({fake.name for fake in fakes})
