"""The webhooks that the client received against the ends of executions."""

import json

import asyncpg
from standardwebhooks import Webhook, WebhookVerificationError
from tests.chaos.system import System

from callsheet.domain.standard_webhooks import secret_text
from callsheet.files.signed_urls import signing_key
from callsheet.notify.signature import installation_secret


async def callback_faults(connection: asyncpg.Connection, system: System) -> list[str]:
    """Return the ends without a webhook, and the webhooks with a wrong signature or content."""
    verifier = Webhook(secret_text(installation_secret(signing_key(system.settings))))
    faults: list[str] = []
    received: set[tuple[str, int, str]] = set()
    for webhook in system.callbacks.webhooks:
        try:
            verifier.verify(webhook.body, dict(webhook.headers))
        except WebhookVerificationError as error:
            faults.append(f"{webhook.headers.get('webhook-id')}: {error}")
            continue
        body = json.loads(webhook.body)
        received.add((body["data"]["executionId"], body["data"]["eventNumber"], body["type"]))
    ends = await connection.fetch("""
        SELECT v.execution_id::text, v.number, v.type FROM events v JOIN executions e ON e.id = v.execution_id
        WHERE e.callback_url IS NOT NULL
          AND v.type IN ('execution.succeeded', 'execution.failed', 'execution.cancelled')
        """)
    expected = {(row["execution_id"], row["number"], row["type"]) for row in ends}
    faults += [
        f"{execution_id}: no webhook of event {number}, {kind}"
        for execution_id, number, kind in sorted(expected - received)
    ]
    return faults + [
        f"{execution_id}: webhook of event {number}, {kind}, without such an end"
        for execution_id, number, kind in received - expected
    ]
