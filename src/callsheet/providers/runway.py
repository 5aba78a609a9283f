"""Runway: videos from text and from images."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ProviderUnreachable
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus
from callsheet.providers.delete_to_cancel import DeleteToCancelProvider
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import fraction, text
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.http.transport import static_headers
from callsheet.providers.key_check import FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings

_API_VERSION = "2024-11-06"
_STATES: Mapping[str, TaskState] = {
    "PENDING": "queued",
    # A task above the account's limit waits in this state; it is not rejected (2026-10).
    "THROTTLED": "queued",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}


class RunwaySettings(ProviderSettings):
    """Settings of Runway."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_RUNWAY_")

    api_key: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_RUNWAY_API_KEY", "RUNWAYML_API_SECRET"),
        description="API key of Runway",
    )
    url: str = Field("https://api.dev.runwayml.com", description="Base URL of the API of Runway")


class Runway(DeleteToCancelProvider):
    """Runway. Model names are plain: `gen4_turbo`. With an image, the image is animated.

    A task should be polled at most about every 5 seconds (2026-10); the default poll policy does so.
    """

    name = "runway"
    settings_class = RunwaySettings
    capabilities = Capabilities(cancel=True, progress=True, retention=timedelta(hours=24), inline_limit=3 * 2**20)
    # The hosts of its files are undocumented (2026-11).
    file_hosts = None

    def __init__(self, settings: Settings, runway: RunwaySettings) -> None:
        key = runway.api_key.get_secret_value()
        auth = static_headers(**{"Authorization": f"Bearer {key}", "X-Runway-Version": _API_VERSION})
        http = ProviderClient(self.name, ProviderHosts(runway.url), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return the request that reads the organization with its credits."""
        return FreeRequest("GET", "/v1/organization")

    async def submit(self, request: SubmitRequest) -> Task:
        """Create a task."""
        kind = "image_to_video" if "promptImage" in request.input else "text_to_video"
        given = await encode_files(request.input, self.name, self.capabilities.inline_limit)
        response = await self._http.submit("POST", f"/v1/{kind}", json={"model": request.model, **given})
        return self._task(response, response.at("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task. Every response contains new URLs, valid for 24 to 48 hours (2026-10)."""
        response = await self._http.get("GET", _path(task))
        if response.status == 404:
            return self._missing_status(task)
        return _status(self._http.json_object(response))

    async def cancel(self, task: Task) -> None:
        """Delete a task. DELETE cancels a running task and removes an ended one; neither is found afterwards (2026-10).

        A task that runs already is billed nevertheless.
        """
        response = await self._http.get("DELETE", _path(task))
        if not response.ok and response.status != 404:
            raise ProviderUnreachable(f"Runway did not cancel the task: {sanitize(response)}")
        self._deleted.append(task.id)


def _path(task: Task) -> str:
    return f"/v1/tasks/{quote(task.id, safe='')}"


def _status(task: Mapping[str, Any]) -> TaskStatus:
    status = text(task.get("status")) or "unknown"
    state = _STATES.get(status, "running")
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, find_outputs(task.get("output")))
    if state == "failed":
        return _failed_status(status, task)
    # The range 0 to 1 is an assumption: it is undocumented (2026-11).
    return TaskStatus(state, status, fraction(task.get("progress")))


def _failed_status(status: str, task: Mapping[str, Any]) -> TaskStatus:
    code, reason = text(task.get("failureCode")) or "", text(task.get("failure"))
    message = redact_message(reason or f"Runway gave no reason, only the code '{code}'.")
    return TaskStatus("failed", status, code=moderation_code(f"{code} {reason or ''}"), message=message)
