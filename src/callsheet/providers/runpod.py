"""RunPod: your own serverless endpoints."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.durations import Duration
from callsheet.domain.errors import BadWebhook, ProviderUnreachable, SubmissionRejected
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus, WebhookEvent
from callsheet.providers.http.base64_files import with_data_uris
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, number, text
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.http.transport import ClientLimits, static_headers
from callsheet.providers.key_check import FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.providers.webhooks.signatures import read_json_object
from callsheet.settings import Settings

_STATES: Mapping[str, TaskState] = {
    "IN_QUEUE": "queued",
    "IN_PROGRESS": "running",
    "RUNNING": "running",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "failed",
    "CANCELLED": "cancelled",
}
_ENDPOINT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_MAX_TIMEOUT = timedelta(days=7)
_MIN_EXECUTION_TIMEOUT = timedelta(seconds=5)
_MIN_TTL = timedelta(seconds=10)
_TTL_MARGIN = timedelta(minutes=10)
"""Time to live beyond our own deadline. A task vanishes at the end of its time to live, even while it runs (2026-08);
we cancel it before."""
_SUBMITS_PER_SECOND = 100


class RunPodSettings(ProviderSettings):
    """Settings of RunPod."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_RUNPOD_")

    api_key: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_RUNPOD_API_KEY", "RUNPOD_API_KEY"), description="API key of RunPod"
    )
    url: str = Field("https://api.runpod.ai/v2", description="Base URL of the API of RunPod")
    execution_timeout: Duration | None = Field(
        None, description="Execution timeout of a task, 5 seconds to 7 days; unset: the timeout of the endpoint"
    )


class RunPod(BaseProvider):
    """RunPod. Model names are ids of serverless endpoints."""

    name = "runpod"
    settings_class = RunPodSettings
    capabilities = Capabilities(webhook=True, cancel=True, retention=timedelta(minutes=30), inline_limit=7 * 2**20)
    file_hosts = None

    def __init__(self, settings: Settings, runpod: RunPodSettings) -> None:
        http = ProviderClient(
            self.name,
            ProviderHosts(runpod.url),
            settings,
            auth=static_headers(Authorization=f"Bearer {runpod.api_key.get_secret_value()}"),
            limits=ClientLimits(submits_per_second=_SUBMITS_PER_SECOND),
        )
        super().__init__(http, default_poll_policy(settings))
        self._policy = _execution_policy(self.poll_policy.deadline, runpod.execution_timeout)

    def free_request(self, model: str | None) -> FreeRequest | None:
        """Return the request that reads the workers of an endpoint; keys can be limited to endpoints."""
        if model is None or not _ENDPOINT_ID.fullmatch(model):
            return None
        return FreeRequest("GET", f"/{model}/health")

    async def submit(self, request: SubmitRequest) -> Task:
        """Add a task to the queue of an endpoint."""
        if not _ENDPOINT_ID.fullmatch(request.model):
            raise SubmissionRejected(f"'{request.model}' is not the id of an endpoint at RunPod")
        given = await encode_files(request.input, self.name, self.capabilities.inline_limit)
        body: dict[str, Any] = {"input": given, "policy": self._policy}
        if request.webhook:
            body["webhook"] = request.webhook
        response = await self._http.submit("POST", f"/{request.model}/run", json=body)
        return self._task(response, response.at("id"), model=request.model)

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task. The response contains its files, which can be many megabytes."""
        response = await self._http.get("GET", _path(task, "status"))
        if response.status == 404:
            return self._lost_status()
        # In a thread: decoding base64 files is slow.
        return await asyncio.to_thread(_status, self._http.json_object(response))

    async def cancel(self, task: Task) -> None:
        """Cancel a task."""
        response = await self._http.get("POST", _path(task, "cancel"))
        if not response.ok and response.status not in (400, 404, 409):
            raise ProviderUnreachable(f"RunPod did not cancel the task: {sanitize(response)}")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Parse a webhook. It is unsigned: only its URL is secret.

        RunPod repeats input and webhook URL in it, and delivers it up to three times in 20 seconds (2026-08).
        """
        fields = read_json_object(body)
        task_id, status = text(fields.get("id")), text(fields.get("status")) or ""
        if task_id is None:
            raise BadWebhook("The webhook contains no task id.")
        return WebhookEvent(task_id, f"{task_id}:{status}", status)


def _execution_policy(deadline: timedelta, execution_timeout: timedelta | None) -> dict[str, int]:
    policy = {"ttl": _milliseconds(deadline + _TTL_MARGIN, _MIN_TTL)}
    if execution_timeout is None:
        return policy
    return policy | {"executionTimeout": _milliseconds(execution_timeout, _MIN_EXECUTION_TIMEOUT)}


def _milliseconds(length: timedelta, minimum: timedelta) -> int:
    return round(min(max(length, minimum), _MAX_TIMEOUT).total_seconds() * 1000)


def _path(task: Task, action: str) -> str:
    return f"/{task.handle['model']}/{action}/{quote(task.id, safe='')}"


def _status(task: Mapping[str, Any]) -> TaskStatus:
    status = text(task.get("status")) or "unknown"
    state = _STATES.get(status, "running")
    seconds = _seconds(task.get("executionTime"))
    if state == "succeeded":
        return _completed_status(status, task.get("output"), seconds)
    if status == "TIMED_OUT":
        message = "The task exceeded its execution timeout at RunPod."
        return TaskStatus(state, status, code="deadline", message=message, seconds=seconds)
    if state == "failed":
        return _failed_status(status, task.get("error") or as_object(task.get("output")).get("error"), seconds)
    return TaskStatus(state, status, seconds=seconds)


def _completed_status(status: str, output: Any, seconds: float | None) -> TaskStatus:
    # The output is whatever the handler returns: base64, URLs, or an object with an `error` (2026-11).
    error = as_object(output).get("error")
    if error:
        return _failed_status(status, error, seconds)
    return TaskStatus("succeeded", status, 1.0, find_outputs(with_data_uris(output)), seconds=seconds)


def _failed_status(status: str, error: Any, seconds: float | None) -> TaskStatus:
    reason = _reason(error)
    message = redact_message(reason or "RunPod gave no reason.")
    return TaskStatus("failed", status, code=moderation_code(reason), message=message, seconds=seconds)


def _reason(error: Any) -> str | None:
    """Return the message of an error: a text, an object, or an object as JSON text."""
    if isinstance(error, str) and error.lstrip().startswith("{"):
        try:
            error = orjson.loads(error)
        except ValueError:
            return text(error)
    if isinstance(error, Mapping):
        return text(error.get("error_message")) or text(error.get("message"))
    return text(error)


def _seconds(milliseconds: Any) -> float | None:
    parsed = number(milliseconds)
    return None if parsed is None else parsed / 1000
