"""fal: models behind its queue."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2

from callsheet.domain.errors import BadWebhook, ConfigurationError, ProviderUnreachable, SubmissionRejected
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus, WebhookEvent
from callsheet.providers.http.client import ProviderClient, ProviderResponse, redact_message, sanitize, static_headers
from callsheet.providers.http.json_fields import as_object, number, progress_in_text, text, url
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.webhooks.jwks import Jwks
from callsheet.providers.webhooks.signatures import read_json_object, verify_fal_webhook
from callsheet.settings import Settings

_NAME = "fal"
_OWN_HOSTS = frozenset({"fal.run", "falrun.com"})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_NAMESPACES = frozenset({"workflows", "comfy"})
_ADDRESSES = ("status_url", "response_url", "cancel_url")
_CANCELLED = "client_cancelled"
_CODES = {
    "content_policy_violation": "content_refused",
    "request_timeout": "deadline",
    "startup_timeout": "deadline",
    "generation_timeout": "deadline",
}

_CAPABILITIES = Capabilities(
    webhook=True,
    signed=True,
    cancel=True,
    progress=True,
    retention=timedelta(minutes=6),
    inline_limit=4 * 2**20,
    quirks={
        "no_failed_state": "2026-11: a task that failed is COMPLETED; that it failed may be told with its result only",
        "retention": "2026-11: results of 10 KB and more are kept for 6 minutes where payloads are not stored",
        "one_key_set": "2026-11: a signature proves that fal calls, not for whom; FAL_USER_ID names the account",
        "addresses": "2026-11: status and result leave out part of the model's path, so that told addresses are used",
    },
)


def open_fal(settings: Settings) -> "Fal":
    """Return fal by the settings. Raises ConfigurationError where the key is missing."""
    if settings.fal_key is None:
        raise ConfigurationError("fal needs FAL_KEY")
    return Fal(settings, settings.fal_key.get_secret_value())


class Fal(BaseProvider):
    """Models are `owner/app` or longer, as in `fal-ai/veo3/fast`; they have no versions."""

    name = _NAME
    capabilities = _CAPABILITIES
    hosts = frozenset({"fal.media"})

    def __init__(self, settings: Settings, key: str) -> None:
        http = ProviderClient(
            _NAME,
            settings.fal_url,
            settings,
            keys=static_headers(Authorization=f"Key {key}"),
            own_hosts=_OWN_HOSTS,
            at_once=settings.provider_concurrency,
        )
        super().__init__(http, default_poll_policy(settings))
        self._user_id = settings.fal_user_id
        self._key_set = Jwks(settings.fal_keys_url)

    async def submit(self, order: SubmitRequest) -> Task:
        """Put an order into the queue."""
        if not _MODEL.fullmatch(order.model) or order.version:
            raise SubmissionRejected(
                f"'{order.model}' {order.version or ''} is not a model at fal; they are called owner/app"
            )
        given = await encode_files(order.input, _NAME, _CAPABILITIES.inline_limit)
        webhook = {"fal_webhook": order.webhook} if order.webhook else {}
        # Without the second, another model may answer than the one that was asked for.
        headers = {
            "X-Fal-Request-Timeout": f"{self.poll_policy.deadline.total_seconds():.0f}",
            "x-app-fal-disable-fallback": "true",
        }
        place = f"/{order.model}"
        # Errors name a request, too; that it was taken shows by its addresses.
        answer = await self._http.submit(
            "POST", place, names=_ADDRESSES[:1], json=given, params=webhook, headers=headers
        )
        task_id, handle = answer.at("request_id"), {name: url(answer.at(name)) for name in _ADDRESSES}
        if None in handle.values():
            self._http.raise_unreadable_submission(answer)
        return self._task(answer, task_id, **handle)

    async def get_status(self, task: Task) -> TaskStatus:
        """Read the status, and the result of what is completed: whether it succeeded is told by that alone."""
        place = self._places(task)
        if not all(map(self._http.is_provider_host, place.values())):
            message = "fal named an address for the task that is not its own."
            return TaskStatus("failed", "unknown", code="foreign_host", message=message)
        answer = await self._http.get("GET", str(httpx2.URL(place["status_url"]).copy_set_param("logs", "1")))
        if answer.status == 404:
            return TaskStatus("lost", "NOT_FOUND", message="fal does not know the task any more.")
        fields = self._http.json_object(answer)
        status = text(fields.get("status")) or "unknown"
        if status == "COMPLETED":
            return await self._ended(place["response_url"], fields)
        state: TaskState = "queued" if status == "IN_QUEUE" else "running"
        return TaskStatus(state, status, _progress(fields.get("logs")))

    async def cancel(self, task: Task) -> None:
        """Ask for the task's end; one that runs may still come to its own."""
        answer = await self._http.get("PUT", self._places(task)["cancel_url"])
        if not answer.ok and answer.status not in (400, 404):
            raise ProviderUnreachable(f"fal did not cancel the task: {sanitize(answer)}")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Check and read a call of fal's."""
        request_id, user_id = await self._key_set.verify(lambda keys: verify_fal_webhook(keys, headers, body, now))
        if self._user_id not in (None, user_id):
            raise BadWebhook("The webhook is for another account of fal's.")
        fields = read_json_object(body)
        if fields.get("request_id") != request_id:
            raise BadWebhook("The webhook tells of another task than the one it is signed for.")
        return WebhookEvent(request_id, request_id, text(fields.get("status")) or "")

    def _places(self, task: Task) -> Mapping[str, str]:
        """Return the addresses that fal told; for a task that only its webhook told of, those it would have told."""
        if "model" not in task.handle:
            return task.handle
        parts = str(task.handle["model"]).split("/")
        app = "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])
        place = f"{self._http.base_url}/{app}/requests/{quote(task.id, safe='')}"
        return {"status_url": f"{place}/status", "response_url": place, "cancel_url": f"{place}/cancel"}

    async def _ended(self, result_url: str, status: Mapping[str, Any]) -> TaskStatus:
        seconds = number(as_object(status.get("metrics")).get("inference_time"))
        kind, reason = text(status.get("error_type")), text(status.get("error"))
        if kind is not None:
            return _failed(kind, reason, seconds)
        result = await self._http.request("GET", result_url)
        if result.ok and reason is None:
            return TaskStatus("succeeded", "COMPLETED", 1.0, find_outputs(self._read(result)), seconds=seconds)
        if result.ok:
            return _failed("error", reason, seconds)
        return self._failed_result(result, seconds)

    def _failed_result(self, result: ProviderResponse, seconds: float | None) -> TaskStatus:
        kind, reason = _kind_of(result), sanitize(result)
        if result.status in (404, 410):
            return TaskStatus(
                "failed", "COMPLETED", code="output_expired", message="fal has not kept the task's result."
            )
        if kind is not None:
            return _failed(kind, reason, seconds)
        if result.status == 400 and "in progress" in reason:
            return TaskStatus("running", "IN_PROGRESS")
        if result.status == 422:
            return _failed("invalid_input", reason, seconds)
        # Without a kind it is not the model's own answer, but that of something in between.
        self._http.raise_if_transient(result)
        raise ProviderUnreachable(f"fal did not give the task's result: {reason}")

    def _read(self, result: ProviderResponse) -> Any:
        try:
            return result.json()
        except ValueError:
            raise ProviderUnreachable("fal gave a result that is no JSON") from None


def _kind_of(result: ProviderResponse) -> str | None:
    """Return what kind of failure a result tells: the model's own (a list of details), or that of fal's machines."""
    fields = result.fields()
    detail = fields.get("detail")
    if isinstance(detail, list) and detail:
        return text(as_object(detail[0]).get("type")) or "invalid_input"
    return text(fields.get("error_type")) or text(result.headers.get("x-fal-error-type"))


def _failed(kind: str, reason: str | None, seconds: float | None) -> TaskStatus:
    message = redact_message(reason or f"fal gave no reason, but the kind of failure: {kind}")
    if kind == _CANCELLED:
        return TaskStatus("cancelled", kind, message=message, seconds=seconds)
    return TaskStatus("failed", kind, code=_CODES.get(kind, "provider_failed"), message=message, seconds=seconds)


def _progress(logs: Any) -> float | None:
    entries = logs if isinstance(logs, list) else []
    return progress_in_text("\n".join(text(as_object(entry).get("message")) or "" for entry in entries))
