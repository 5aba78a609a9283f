"""An action on ads after an approval: one signed webhook after a yes, and none after anything else."""

import base64
import hmac
import json
from datetime import timedelta
from uuid import UUID

import pytest

from callsheet.engine.jobs.approvals import expire_approvals
from callsheet.notify import retry_schedule, webhooks
from callsheet.notify.payload_schema import AdActionWebhook
from callsheet.notify.signature import installation_secret
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.ad_action import ad_action
from callsheet.operations.approve import approve
from callsheet.testing.operations import ALL

from .receiver import receiving, sending

ADS = [{"tenantId": "tenant_1", "adId": "red"}]


@pytest.fixture
def catalog():
    return Catalog([*ALL, approve, ad_action])


@pytest.fixture
def settings(settings):
    return settings.model_copy(update={"allow_private_addresses": True, "webhook_timeout": timedelta(seconds=5)})


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch):
    monkeypatch.setattr(retry_schedule, "_DELAYS", (0.05, 0.05))
    monkeypatch.setattr(webhooks, "_POLL_INTERVAL", 0.05)


async def asked(api, url, ads=ADS, **approval):
    """Submit a plan with an approval and an action; return its id."""
    return await api.submit(
        ("review", "approve", {"title": "Pause?", "items": ads, "onReject": "continue", **approval}),
        ("pause", "ad-action", {"action": "pause", "ads": ads, "approval": "${review}", "url": url}),
    )


async def result_of(api, execution_id):
    ended = await api.ended(execution_id)
    assert ended["status"] == "succeeded", ended["jobs"]
    return ended["jobs"][1]["result"]


async def written(api):
    async with api.runtime.database.connection() as connection:
        return await connection.fetchval("SELECT count(*) FROM outbox")


async def test_after_a_yes_the_action_is_sent_with_one_id_until_it_is_confirmed(working):
    async with receiving("500 Broken", "reset") as receiver, sending(working.runtime):
        execution_id = await asked(working, receiver.url)
        event = await working.event(execution_id, "job.approval_requested")
        approval = (await working.client.get(f"/api/approvals/{event.data['approval']}")).json()
        await working.client.post(f"/api/approvals/{approval['id']}/approve", json={"by": "Mia"})
        result = await result_of(working, execution_id)
        requests = [await receiver.next() for _ in range(3)]

    assert approval["text"] == "adId: red, tenantId: tenant_1"
    assert {headers["webhook-id"] for _, headers, _ in requests} == {result["webhookId"]}
    assert await written(working) == 1
    _, headers, body = requests[-1]
    data = AdActionWebhook.model_validate_json(body).data
    assert (data.action, data.ads[0].ad_id, data.approval.by) == ("pause", "red", "Mia")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(installation_secret(working.runtime.key), signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body)["type"] == "ad.action"


@pytest.mark.parametrize("default", ["reject", "approve", "no"])
async def test_after_a_no_or_the_deadline_nothing_is_sent(working, default):
    execution_id = await asked(working, "http://127.0.0.1:9/", **({} if default == "no" else {"default": default}))
    approval = UUID((await working.event(execution_id, "job.approval_requested")).data["approval"])
    if default == "no":
        await working.client.post(f"/api/approvals/{approval}/reject", json={"by": "Mia"})
    else:
        async with working.runtime.database.connection() as connection:
            await connection.execute("UPDATE approvals SET deadline = now() - interval '1 s' WHERE id = $1", approval)
        await expire_approvals(working.runtime.database)

    result = await result_of(working, execution_id)

    assert (result["webhookId"], await written(working)) == (None, 0)
    assert "approved" in result["note"]


async def test_without_ads_no_person_is_asked(working):
    result = await result_of(working, await asked(working, "http://127.0.0.1:9/", ads=[]))

    assert (result["note"], await written(working)) == ("there are no ads", 0)


async def test_an_approval_that_no_person_gave_in_this_execution_is_refused(working):
    forged = {"approved": True, "by": "Mia", "comment": None, "decidedAt": "2026-11-20T09:00:00Z", "how": "api"}
    params = {"action": "pause", "ads": ADS, "approval": forged, "url": "http://127.0.0.1:9/"}

    ended = await working.ended(await working.submit(("pause", "ad-action", params)))

    assert (ended["status"], ended["jobs"][0]["error"]["code"], await written(working)) == ("failed", "bad_params", 0)
