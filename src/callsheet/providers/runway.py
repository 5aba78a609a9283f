"""Runway: videos of texts and of pictures."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus
from callsheet.providers.delete_to_cancel import DeleteToCancelProvider
from callsheet.providers.http.client import ProviderClient, redact_message, sanitize, static_headers
from callsheet.providers.http.json_fields import fraction, text
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.settings import Settings

_NAME = "runway"
_VERSION = "2024-11-06"
_STATES: Mapping[str, TaskState] = {
    "PENDING": "queued",
    "THROTTLED": "queued",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}


def open_runway(settings: Settings) -> "Runway":
    """Return Runway by the settings. Raises ConfigurationError where the key is missing."""
    if settings.runway_api_key is None:
        raise ConfigurationError("Runway needs RUNWAYML_API_SECRET")
    return Runway(settings, settings.runway_api_key.get_secret_value())


class Runway(DeleteToCancelProvider):
    """Models are plain words, as in `gen4_turbo`; with a picture, they make it move."""

    name = _NAME
    capabilities = Capabilities(
        cancel=True,
        progress=True,
        retention=timedelta(hours=24),
        inline_limit=3 * 2**20,
        quirks={
            "throttled": "2026-10: what is over the account's limit waits as THROTTLED, and is not refused",
            "delete": "2026-10: DELETE cancels a task, and removes one that has ended; it is not found afterwards",
            "addresses": "2026-10: every look gives fresh addresses, which live for 24 to 48 hours",
            "looks": "2026-10: a task is to be looked at no more often than about every 5 seconds",
            "progress": "2026-11: taken to be 0 to 1, which is not documented",
            "hosts": "2026-11: the hosts of its files are not documented, so that any public one is asked",
        },
    )
    hosts = None

    def __init__(self, settings: Settings, key: str) -> None:
        http = ProviderClient(
            _NAME,
            settings.runway_url,
            settings,
            keys=static_headers(**{"Authorization": f"Bearer {key}", "X-Runway-Version": _VERSION}),
            at_once=settings.provider_concurrency,
        )
        super().__init__(http, default_poll_policy(settings))

    async def submit(self, order: SubmitRequest) -> Task:
        """Create a task."""
        kind = "image_to_video" if "promptImage" in order.input else "text_to_video"
        body = {"model": order.model, **await encode_files(order.input, _NAME, self.capabilities.inline_limit)}
        answer = await self._http.submit("POST", f"/v1/{kind}", json=body)
        return self._task(answer, answer.fields().get("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Read a task. One that was deleted by us has ended; one that is not there otherwise is lost."""
        answer = await self._http.get("GET", _path(task))
        if answer.status == 404:
            return self._missing(task)
        return _look(self._http.json_object(answer))

    async def cancel(self, task: Task) -> None:
        """Delete a task; one that runs already is paid nevertheless."""
        answer = await self._http.get("DELETE", _path(task))
        if not answer.ok and answer.status != 404:
            raise ProviderUnreachable(f"Runway did not cancel the task: {sanitize(answer)}")
        self._deleted.append(task.id)


def _path(task: Task) -> str:
    return f"/v1/tasks/{quote(task.id, safe='')}"


def _look(task: Mapping[str, Any]) -> TaskStatus:
    status = text(task.get("status")) or "unknown"
    state = _STATES.get(status, "running")
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, find_outputs(task.get("output")))
    if state == "failed":
        return _failed(status, task)
    return TaskStatus(state, status, fraction(task.get("progress")))


def _failed(status: str, task: Mapping[str, Any]) -> TaskStatus:
    kind, reason = text(task.get("failureCode")) or "", text(task.get("failure"))
    code = moderation_code(f"{kind} {reason or ''}")
    return TaskStatus(
        "failed", status, code=code, message=redact_message(reason or f"Runway gave no reason, but the code '{kind}'.")
    )
