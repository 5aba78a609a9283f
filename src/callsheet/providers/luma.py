"""Luma Agents: generations of videos and pictures."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from callsheet.domain.errors import ConfigurationError
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, InputFile, Output, SubmitRequest, Task, TaskState, TaskStatus
from callsheet.providers.http.client import ProviderClient, redact_message, static_headers
from callsheet.providers.http.json_fields import as_object, text
from callsheet.providers.http.request_files import file_as_base64, format_seconds, replace_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.settings import Settings

_NAME = "luma"
_STATES: Mapping[str, TaskState] = {
    "queued": "queued",
    "processing": "running",
    "dreaming": "running",
    "completed": "succeeded",
    "failed": "failed",
}
_CODES = {
    "content_moderated": "content_refused",
    "generation_failed": "provider_failed",
    "budget_exhausted": "budget_exhausted",
    "output_not_found": "output_expired",
}
_OUTSIDE = ("prompt", "aspect_ratio", "source", "image_ref", "user_id")
"""What stands in the order itself; everything else is about the video."""


def open_luma(settings: Settings) -> "Luma":
    """Return Luma by the settings. Raises ConfigurationError where the key is missing."""
    if settings.luma_api_key is None:
        raise ConfigurationError("Luma needs LUMA_AGENTS_API_KEY")
    return Luma(settings, settings.luma_api_key.get_secret_value())


class Luma(BaseProvider):
    """Models are plain words, as in `ray-3.2`."""

    name = _NAME
    capabilities = Capabilities(
        retention=timedelta(hours=1),
        inline_limit=8 * 2**20,
        quirks={
            "no_webhook": "2026-08: neither webhooks nor cancelling nor progress are part of the API",
            "hosts": "2026-11: the hosts of its presigned addresses are not documented, so that any is asked",
            "video": "2026-11: the fields of `video`, and how large files inside of orders may be, are not documented",
        },
    )
    hosts = None

    def __init__(self, settings: Settings, key: str) -> None:
        http = ProviderClient(
            _NAME,
            settings.luma_url,
            settings,
            keys=static_headers(Authorization=f"Bearer {key}"),
            at_once=settings.provider_concurrency,
        )
        super().__init__(http, default_poll_policy(settings))

    async def submit(self, order: SubmitRequest) -> Task:
        """Create a generation."""
        given = await replace_files(order.input, self._file)
        answer = await self._http.submit("POST", "/v1/generations", json=_body(order.model, given))
        return self._task(answer, answer.fields().get("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Read a generation; the addresses of its files are made anew each time."""
        answer = await self._http.get("GET", f"/v1/generations/{quote(task.id, safe='')}")
        if answer.status == 404:
            return self._lost_status()
        return _look(self._http.json_object(answer))

    async def _file(self, file: InputFile) -> dict[str, str]:
        if file.url:
            return {"url": file.url}
        return {
            "data": await file_as_base64(file, _NAME, self.capabilities.inline_limit),
            "media_type": file.media_type,
        }


def _body(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return an order, in which what is about the video alone stands in a part of its own."""
    kind = given.pop("type", "video")
    if kind.startswith("image"):
        return {"type": kind, "model": model, **given}
    if "duration" in given:
        given["duration"] = format_seconds(given["duration"])
    outside = {name: given.pop(name) for name in _OUTSIDE if name in given}
    return {"type": kind, "model": model, **outside, **({"video": given} if given else {})}


def _look(generation: Mapping[str, Any]) -> TaskStatus:
    status = text(generation.get("state")) or "unknown"
    state = _STATES.get(status, "running")
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, _outputs(generation))
    if state == "failed":
        code = text(generation.get("failure_code")) or ""
        reason = text(generation.get("failure_reason")) or f"Luma gave no reason, but the code '{code}'."
        return TaskStatus(state, status, code=_CODES.get(code, "provider_failed"), message=redact_message(reason))
    return TaskStatus(state, status)


def _outputs(generation: Mapping[str, Any]) -> tuple[Output, ...]:
    """Return the files of the kind that was ordered: previews may stand beside them."""
    listed = generation.get("output")
    found = [as_object(each) for each in listed] if isinstance(listed, list) else []
    kind = generation.get("type")
    return find_outputs([each for each in found if each.get("type") == kind] or found)
