"""Contract of webhooks: the URL is passed on, and forged or malformed webhooks are rejected."""

from datetime import UTC, datetime

from callsheet.domain.errors import BadWebhook
from callsheet.fakes.providers.task_script import Succeeded
from callsheet.fakes.providers.webhook_receiver import ReceivedWebhook
from callsheet.fakes.providers.webhook_script import WebhookScript
from callsheet.providers.contract import Task, WebhookEvent
from callsheet.testing.provider_contract.harness import Case, ContractTests, expect_error, for_each, require

_BODIES = {
    "empty": b"",
    "truncated": b"{",
    "null": b"null",
    "list": b"[]",
    "text": b'"text"',
    "no UTF-8": b"\xff\xfe",
    "deeply nested": b"[" * 100_000,
    "huge": b"{}" + b" " * 3_000_000 + b"}",
}
_HEADER_VALUES = {
    "empty": "",
    "text": "garbage",
    "no signature": "v1,",
    "no ASCII": "v1,é",
    "no base64": "v1,!!",
    "long": "1" * 400,
    "hexadecimal": "0x10",
    "negative": "-1",
    "far future": "9" * 30,
}


class WebhookContract(ContractTests):
    """Tests of webhooks."""

    async def test_the_webhook_url_is_part_of_the_submission(self, case: Case) -> None:
        """It arrives unchanged: it contains a token."""
        require(case.provider.capabilities.webhook, "sends no webhooks")
        url = f"{case.stranger.url}api/webhooks/job/1?token=a-b_c&x=%2F"

        await case.provider.submit(case.server.example_request(webhook=url))

        [task] = case.server.tasks.values()
        assert task.webhook == url

    async def test_a_webhook_contains_the_task_id(self, case: Case) -> None:
        """Every delivery has the same message id."""
        require(case.provider.capabilities.webhook, "sends no webhooks")
        case.server.inject_faults(webhook=[WebhookScript(times=2)])

        task = await _receive_webhook(case)

        first, second = [await _read(case, webhook) for webhook in case.stranger.webhooks]
        assert first.task_id == task.id
        assert first.message_id == second.message_id != ""

    @for_each(
        script={
            "forged": WebhookScript(forged=True),
            "too old": WebhookScript(age=600),
            "from the future": WebhookScript(age=-600),
        }
    )
    async def test_a_webhook_with_an_invalid_signature_is_rejected(self, case: Case, script: WebhookScript) -> None:
        """If the provider signs its webhooks."""
        require(case.provider.capabilities.signed, "does not sign webhooks")
        case.server.inject_faults(webhook=[script])

        await _receive_webhook(case)

        with expect_error(BadWebhook):
            await _read(case, case.stranger.webhooks[0])

    @for_each(body=_BODIES)
    async def test_a_malformed_body_is_rejected(self, case: Case, body: bytes) -> None:
        """Even with a valid signature."""
        require(case.provider.capabilities.webhook, "sends no webhooks")
        case.server.inject_faults(webhook=[WebhookScript(body=body)])

        await _receive_webhook(case)

        with expect_error(BadWebhook):
            await _read(case, case.stranger.webhooks[0])

    @for_each(value=_HEADER_VALUES)
    async def test_a_malformed_signature_header_is_rejected(self, case: Case, value: str) -> None:
        """One header at a time."""
        require(case.provider.capabilities.signed, "does not sign webhooks")
        await _receive_webhook(case)
        [webhook] = case.stranger.webhooks

        for name in (name for name in webhook.headers if "webhook" in name):
            with expect_error(BadWebhook):
                headers = {**webhook.headers, name: value}
                await case.provider.read_webhook(headers, webhook.body, datetime.now(UTC))

    async def test_a_webhook_without_a_signature_is_rejected(self, case: Case) -> None:
        """Also by providers that send no webhooks."""
        capabilities = case.provider.capabilities
        require(capabilities.signed or not capabilities.webhook, "does not sign webhooks")

        with expect_error(BadWebhook):
            await case.provider.read_webhook({}, b'{"id": "x", "status": "succeeded"}', datetime.now(UTC))


async def _receive_webhook(case: Case) -> Task:
    """Submit a task with a webhook, end it, and wait for the webhook."""
    case.server.script(Succeeded())
    task = await case.provider.submit(case.server.example_request(webhook=case.stranger.url))
    await case.server.finish(task.id)
    await case.stranger.received(1)
    return task


async def _read(case: Case, webhook: ReceivedWebhook) -> WebhookEvent:
    return await case.provider.read_webhook(webhook.headers, webhook.body, datetime.now(UTC))
