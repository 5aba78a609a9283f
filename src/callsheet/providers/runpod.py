"""RunPod: serverless endpoints of one's own."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from callsheet.domain.errors import BadWebhook, ConfigurationError, ProviderUnreachable, SubmissionRejected
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus, WebhookEvent
from callsheet.providers.http.base64_files import with_data_uris
from callsheet.providers.http.client import ProviderClient, redact_message, sanitize, static_headers
from callsheet.providers.http.json_fields import as_object, number, text
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.webhooks.signatures import read_json_object
from callsheet.settings import Settings

_NAME = "runpod"
_STATES: Mapping[str, TaskState] = {
    "IN_QUEUE": "queued",
    "IN_PROGRESS": "running",
    "RUNNING": "running",
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "failed",
    "CANCELLED": "cancelled",
}
_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST = timedelta(days=7)
_SHORTEST_RUN = timedelta(seconds=5)
_SHORTEST_LIFE = timedelta(seconds=10)
_MARGIN = timedelta(minutes=10)
"""That a task outlives our own deadline: it vanishes at its end, and is better cancelled before."""
_A_SECOND = 100


def open_runpod(settings: Settings) -> "RunPod":
    """Return RunPod by the settings. Raises ConfigurationError where the key is missing."""
    if settings.runpod_api_key is None:
        raise ConfigurationError("RunPod needs RUNPOD_API_KEY")
    return RunPod(settings, settings.runpod_api_key.get_secret_value())


class RunPod(BaseProvider):
    """Models are ids of endpoints."""

    name = _NAME
    capabilities = Capabilities(
        webhook=True,
        cancel=True,
        retention=timedelta(minutes=30),
        inline_limit=7 * 2**20,
        quirks={
            "unsigned": "2026-08: webhooks are not signed, and echo input and address; three tries in 20 seconds",
            "ttl": "2026-08: a task vanishes at the end of its life, even while it runs",
            "output": "2026-11: an output is whatever the handler returns: base64, addresses, or an `error` in it",
        },
    )
    hosts = None

    def __init__(self, settings: Settings, key: str) -> None:
        http = ProviderClient(
            _NAME,
            settings.runpod_url,
            settings,
            keys=static_headers(Authorization=f"Bearer {key}"),
            at_once=settings.provider_concurrency,
            submits_per_second=_A_SECOND,
        )
        super().__init__(http, default_poll_policy(settings))
        self._policy = _policy(self.poll_policy.deadline, settings.runpod_execution_timeout)

    async def submit(self, order: SubmitRequest) -> Task:
        """Put a task into an endpoint's queue."""
        if not _ENDPOINT.fullmatch(order.model):
            raise SubmissionRejected(f"'{order.model}' is not the id of an endpoint at RunPod")
        given = await encode_files(order.input, _NAME, self.capabilities.inline_limit)
        body: dict[str, Any] = {"input": given, "policy": self._policy}
        if order.webhook:
            body["webhook"] = order.webhook
        answer = await self._http.submit("POST", f"/{order.model}/run", json=body)
        return self._task(answer, answer.fields().get("id"), model=order.model)

    async def get_status(self, task: Task) -> TaskStatus:
        """Read a task, its files included: they may be many megabytes."""
        answer = await self._http.get("GET", _path(task, "status"))
        if answer.status == 404:
            return self._lost_status()
        return await asyncio.to_thread(_look, self._http.json_object(answer))

    async def cancel(self, task: Task) -> None:
        """Cancel a task."""
        answer = await self._http.get("POST", _path(task, "cancel"))
        if not answer.ok and answer.status not in (400, 404, 409):
            raise ProviderUnreachable(f"RunPod did not cancel the task: {sanitize(answer)}")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Read a call, which nothing proves but the address it came to."""
        fields = read_json_object(body)
        task_id, status = text(fields.get("id")), text(fields.get("status")) or ""
        if task_id is None:
            raise BadWebhook("The webhook names no task.")
        return WebhookEvent(task_id, f"{task_id}:{status}", status)


def _policy(deadline: timedelta, run: timedelta | None) -> dict[str, int]:
    policy = {"ttl": _milliseconds(deadline + _MARGIN, _SHORTEST_LIFE)}
    return policy if run is None else policy | {"executionTimeout": _milliseconds(run, _SHORTEST_RUN)}


def _milliseconds(length: timedelta, least: timedelta) -> int:
    return round(min(max(length, least), _LONGEST).total_seconds() * 1000)


def _path(task: Task, verb: str) -> str:
    return f"/{task.handle['model']}/{verb}/{quote(task.id, safe='')}"


def _look(task: Mapping[str, Any]) -> TaskStatus:
    status = text(task.get("status")) or "unknown"
    state = _STATES.get(status, "running")
    seconds = _seconds(task.get("executionTime"))
    if state == "succeeded":
        return _completed(status, task.get("output"), seconds)
    if status == "TIMED_OUT":
        return TaskStatus(state, status, code="deadline", message="The task ran longer than it may.", seconds=seconds)
    if state == "failed":
        return _failed(status, task.get("error") or as_object(task.get("output")).get("error"), seconds)
    return TaskStatus(state, status, seconds=seconds)


def _completed(status: str, output: Any, seconds: float | None) -> TaskStatus:
    error = as_object(output).get("error")
    if error:
        return _failed(status, error, seconds)
    return TaskStatus("succeeded", status, 1.0, find_outputs(with_data_uris(output)), seconds=seconds)


def _failed(status: str, error: Any, seconds: float | None) -> TaskStatus:
    reason = _reason(error)
    message = redact_message(reason or "RunPod gave no reason.")
    return TaskStatus("failed", status, code=moderation_code(reason), message=message, seconds=seconds)


def _reason(error: Any) -> str | None:
    """Return what an error says: a text, or an object, which may itself be written as text."""
    if isinstance(error, str) and error.lstrip().startswith("{"):
        try:
            error = orjson.loads(error)
        except ValueError:
            return text(error)
    if isinstance(error, Mapping):
        return text(error.get("error_message")) or text(error.get("message"))
    return text(error)


def _seconds(milliseconds: Any) -> float | None:
    told_number = number(milliseconds)
    return None if told_number is None else told_number / 1000
