"""Luma Agents: generations of videos and images.

Webhooks, cancellation and progress are not part of the API (2026-08).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, InputFile, Output, SubmitRequest, Task, TaskState, TaskStatus
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, text
from callsheet.providers.http.redaction import redact_message
from callsheet.providers.http.request_files import file_as_base64, format_seconds, replace_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.http.transport import static_headers
from callsheet.providers.key_check import UNKNOWN_TASK, FreeRequest
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings

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
_TOP_LEVEL_FIELDS = ("prompt", "aspect_ratio", "source", "image_ref", "user_id")
"""Fields of the generation itself; all others belong to its object `video`, whose fields are undocumented (2026-11)."""


class LumaSettings(ProviderSettings):
    """Settings of Luma Agents."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_LUMA_")

    api_key: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_LUMA_API_KEY", "LUMA_AGENTS_API_KEY"),
        description="API key of Luma Agents",
    )
    url: str = Field("https://agents.lumalabs.ai", description="Base URL of the API of Luma Agents")


class Luma(BaseProvider):
    """Luma Agents. Model names are plain: `ray-3.2`."""

    name = "luma"
    settings_class = LumaSettings
    # The maximum size of inline files is undocumented (2026-11).
    capabilities = Capabilities(retention=timedelta(hours=1), inline_limit=8 * 2**20)
    # The hosts of its presigned URLs are undocumented (2026-11).
    file_hosts = None

    def __init__(self, settings: Settings, luma: LumaSettings) -> None:
        auth = static_headers(Authorization=f"Bearer {luma.api_key.get_secret_value()}")
        http = ProviderClient(self.name, ProviderHosts(luma.url), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return the request that reads a generation that does not exist: the API has no other free one (2026-08)."""
        return FreeRequest("GET", f"/v1/generations/{UNKNOWN_TASK}", also_accepted=(404,))

    async def submit(self, request: SubmitRequest) -> Task:
        """Create a generation."""
        given = await replace_files(request.input, self._encode_file)
        response = await self._http.submit("POST", "/v1/generations", json=_body(request.model, given))
        return self._task(response, response.at("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a generation; every response contains new presigned URLs."""
        response = await self._http.get("GET", f"/v1/generations/{quote(task.id, safe='')}")
        if response.status == 404:
            return self._lost_status()
        return _status(self._http.json_object(response))

    async def _encode_file(self, file: InputFile) -> dict[str, str]:
        if file.url:
            return {"url": file.url}
        data = await file_as_base64(file, self.name, self.capabilities.inline_limit)
        return {"data": data, "media_type": file.media_type}


def _body(model: str, given: dict[str, Any]) -> dict[str, Any]:
    kind = given.pop("type", "video")
    if kind.startswith("image"):
        return {"type": kind, "model": model, **given}
    if "duration" in given:
        given["duration"] = format_seconds(given["duration"])
    top_level = {name: given.pop(name) for name in _TOP_LEVEL_FIELDS if name in given}
    return {"type": kind, "model": model, **top_level, **({"video": given} if given else {})}


def _status(generation: Mapping[str, Any]) -> TaskStatus:
    status = text(generation.get("state")) or "unknown"
    state = _STATES.get(status, "running")
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, _outputs(generation))
    if state == "failed":
        code = text(generation.get("failure_code")) or ""
        reason = text(generation.get("failure_reason")) or f"Luma gave no reason, only the code '{code}'."
        return TaskStatus(state, status, code=_CODES.get(code, "provider_failed"), message=redact_message(reason))
    return TaskStatus(state, status)


def _outputs(generation: Mapping[str, Any]) -> tuple[Output, ...]:
    """Return the files of the requested type: thumbnails can be listed beside them."""
    listed = generation.get("output")
    files = [as_object(each) for each in listed] if isinstance(listed, list) else []
    kind = generation.get("type")
    return find_outputs([each for each in files if each.get("type") == kind] or files)
