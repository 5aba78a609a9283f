"""fal: models behind its queue API."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import BadWebhook, ProviderUnreachable, SubmissionRejected
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus, WebhookEvent
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, number, progress_in_text, text, url
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response import ProviderResponse
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.http.transport import static_headers
from callsheet.providers.key_check import UNKNOWN_TASK, FreeRequest
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.providers.webhooks.jwks import Jwks
from callsheet.providers.webhooks.signatures import read_json_object, verify_fal_webhook
from callsheet.settings import Settings

_DOMAINS = frozenset({"fal.run", "falrun.com"})
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_NAMESPACES = frozenset({"workflows", "comfy"})
_TASK_URLS = ("status_url", "response_url", "cancel_url")
_CANCELLED = "client_cancelled"
_CODES = {
    "content_policy_violation": "content_refused",
    "request_timeout": "deadline",
    "startup_timeout": "deadline",
    "generation_timeout": "deadline",
}


class FalSettings(ProviderSettings):
    """Settings of fal."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_FAL_")

    key: SecretStr = Field(validation_alias=AliasChoices("CALLSHEET_FAL_KEY", "FAL_KEY"), description="API key of fal")
    url: str = Field("https://queue.fal.run", description="Base URL of fal's queue API")
    keys_url: str = Field(
        "https://rest.fal.ai/.well-known/jwks.json", description="URL of the public keys (JWKS) of fal's webhooks"
    )
    user_id: str | None = Field(
        None,
        description="User id at fal; webhooks for other accounts are rejected. fal signs the webhooks of all accounts "
        "with the same keys",
    )


class Fal(BaseProvider):
    """fal. Model names are `owner/app` or longer, as in `fal-ai/veo3/fast`; they have no versions."""

    name = "fal"
    settings_class = FalSettings
    # fal keeps results of 10 KB and more for 6 minutes where payload storage is off (2026-11).
    capabilities = Capabilities(
        webhook=True,
        signed=True,
        cancel=True,
        progress=True,
        retention=timedelta(minutes=6),
        inline_limit=4 * 2**20,
    )
    file_hosts = frozenset({"fal.media"})

    def __init__(self, settings: Settings, fal: FalSettings) -> None:
        auth = static_headers(Authorization=f"Key {fal.key.get_secret_value()}")
        http = ProviderClient(self.name, ProviderHosts(fal.url, domains=_DOMAINS), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))
        self._user_id = fal.user_id
        self._jwks = Jwks(fal.keys_url)

    def free_request(self, model: str | None) -> FreeRequest | None:
        """Return the request that reads a task that does not exist, of the app of a model."""
        app = "/".join((model or "").split("/")[:2])
        if not _MODEL.fullmatch(app):
            return None
        return FreeRequest("GET", f"/{app}/requests/{UNKNOWN_TASK}/status", also_accepted=(404,))

    async def submit(self, request: SubmitRequest) -> Task:
        """Add a request to the queue of the model."""
        if not _MODEL.fullmatch(request.model) or request.version:
            raise SubmissionRejected(
                f"'{request.model}' {request.version or ''} is not a model name of fal; the form is owner/app"
            )
        given = await encode_files(request.input, self.name, self.capabilities.inline_limit)
        params = {"fal_webhook": request.webhook} if request.webhook else {}
        headers = {
            "X-Fal-Request-Timeout": f"{self.poll_policy.deadline.total_seconds():.0f}",
            # Without this header, fal can run another model than the requested one.
            "x-app-fal-disable-fallback": "true",
        }
        # Errors contain a request id as well; only an accepted request has a status URL.
        response = await self._http.submit(
            "POST", f"/{request.model}", task_id_path=_TASK_URLS[:1], json=given, params=params, headers=headers
        )
        # The URLs contain only a part of the model's path (2026-11), so they are stored and not derived.
        handle = {name: url(response.at(name)) for name in _TASK_URLS}
        if None in handle.values():
            self._http.raise_unreadable_submission(response)
        return self._task(response, response.at("request_id"), **handle)

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task.

        fal has no failed state: a failed task is COMPLETED, and its failure can be reported by the result only
        (2026-11). Therefore, the result of a completed task is read as well.
        """
        urls = self._task_urls(task)
        if not all(map(self._http.is_provider_host, urls.values())):
            message = "fal returned a task URL of a foreign host."
            return TaskStatus("failed", "unknown", code="foreign_host", message=message)
        response = await self._http.get("GET", str(httpx2.URL(urls["status_url"]).copy_set_param("logs", "1")))
        if response.status == 404:
            return TaskStatus("lost", "NOT_FOUND", message="fal does not know the task any more.")
        fields = self._http.json_object(response)
        status = text(fields.get("status")) or "unknown"
        if status == "COMPLETED":
            return await self._completed_status(urls["response_url"], fields)
        state: TaskState = "queued" if status == "IN_QUEUE" else "running"
        return TaskStatus(state, status, _progress(fields.get("logs")))

    async def cancel(self, task: Task) -> None:
        """Request the cancellation of a task; a running task can still succeed."""
        response = await self._http.get("PUT", self._task_urls(task)["cancel_url"])
        if not response.ok and response.status not in (400, 404):
            raise ProviderUnreachable(f"fal did not cancel the task: {sanitize(response)}")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify and parse a webhook. The signature proves the sender; the setting `user_id` selects the account."""
        request_id, user_id = await self._jwks.verify(lambda keys: verify_fal_webhook(keys, headers, body, now))
        if self._user_id not in (None, user_id):
            raise BadWebhook("The webhook belongs to another account at fal.")
        fields = read_json_object(body)
        if fields.get("request_id") != request_id:
            raise BadWebhook("The webhook contains another task than its signature.")
        return WebhookEvent(request_id, request_id, text(fields.get("status")) or "")

    def _task_urls(self, task: Task) -> Mapping[str, str]:
        """Return the task's URLs from the submit response; derive them for a task known from its webhook only."""
        if "model" not in task.handle:
            return task.handle
        parts = str(task.handle["model"]).split("/")
        app = "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])
        base = f"{self._http.base_url}/{app}/requests/{quote(task.id, safe='')}"
        return {"status_url": f"{base}/status", "response_url": base, "cancel_url": f"{base}/cancel"}

    async def _completed_status(self, result_url: str, status: Mapping[str, Any]) -> TaskStatus:
        seconds = number(as_object(status.get("metrics")).get("inference_time"))
        error_type, reason = text(status.get("error_type")), text(status.get("error"))
        if error_type is not None:
            return _failed_status(error_type, reason, seconds)
        result = await self._http.request("GET", result_url)
        if result.ok and reason is None:
            return TaskStatus("succeeded", "COMPLETED", 1.0, find_outputs(_parse_result(result)), seconds=seconds)
        if result.ok:
            return _failed_status("error", reason, seconds)
        return self._failed_result_status(result, seconds)

    def _failed_result_status(self, result: ProviderResponse, seconds: float | None) -> TaskStatus:
        error_type, reason = _error_type(result), sanitize(result)
        if result.status in (404, 410):
            message = "fal has deleted the result of the task."
            return TaskStatus("failed", "COMPLETED", code="output_expired", message=message)
        if error_type is not None:
            return _failed_status(error_type, reason, seconds)
        if result.status == 400 and "in progress" in reason:
            return TaskStatus("running", "IN_PROGRESS")
        if result.status == 422:
            return _failed_status("invalid_input", reason, seconds)
        # Without an error type, the response is not from the model but from a gateway: try again later.
        self._http.raise_if_transient(result)
        raise ProviderUnreachable(f"fal did not return the result of the task: {reason}")


def _parse_result(result: ProviderResponse) -> Any:
    try:
        return result.json()
    except ValueError:
        raise ProviderUnreachable("fal returned a result that is not JSON") from None


def _error_type(result: ProviderResponse) -> str | None:
    """Return the error type of a result: of the model (a list of details), or of fal's infrastructure."""
    fields = result.fields()
    detail = fields.get("detail")
    if isinstance(detail, list) and detail:
        return text(as_object(detail[0]).get("type")) or "invalid_input"
    return text(fields.get("error_type")) or text(result.headers.get("x-fal-error-type"))


def _failed_status(error_type: str, reason: str | None, seconds: float | None) -> TaskStatus:
    message = redact_message(reason or f"fal gave no reason, only the error type: {error_type}")
    if error_type == _CANCELLED:
        return TaskStatus("cancelled", error_type, message=message, seconds=seconds)
    code = _CODES.get(error_type, "provider_failed")
    return TaskStatus("failed", error_type, code=code, message=message, seconds=seconds)


def _progress(logs: Any) -> float | None:
    entries = logs if isinstance(logs, list) else []
    return progress_in_text("\n".join(text(as_object(entry).get("message")) or "" for entry in entries))
