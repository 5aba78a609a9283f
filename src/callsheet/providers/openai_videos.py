"""Servers with an API like OpenAI's `/v1/videos`: vLLM-Omni, gateways and others."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ProviderFailed, ProviderUnreachable
from callsheet.providers.contract import (
    Capabilities,
    InputFile,
    ListedTask,
    Output,
    SubmitRequest,
    Task,
    TaskState,
    TaskStatus,
)
from callsheet.providers.delete_to_cancel import DeleteToCancelProvider
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, fraction, number, text
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import encode_files, read_limited
from callsheet.providers.http.response import ProviderResponse
from callsheet.providers.http.transport import static_headers
from callsheet.providers.key_check import FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings

_STATES: Mapping[str, TaskState] = {
    "queued": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    # Names that gateways use beside OpenAI's four (2026-11).
    "pending": "queued",
    "processing": "running",
    "succeeded": "succeeded",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
_DEFAULT_MODEL = "default"
_UNSUPPORTED = (404, 405, 501)
_MAX_DELAY = 3600.0
_PAGE = 100
"""The maximum number of videos in one page of the list (2026-11)."""
_MAX_PAGES = 50


class OpenAIVideosSettings(ProviderSettings):
    """Settings of a server with an API like `/v1/videos`."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_OPENAI_VIDEOS_")

    url: str = Field(
        description="Base URL of a server with an API like `/v1/videos` (vLLM-Omni, a gateway), without the `/v1`"
    )
    api_key: SecretStr | None = Field(None, description="API key of that server; unset: requests have none")
    format: Literal["multipart", "json"] = Field(
        "multipart", description="Request format of that server: `multipart` or `json`"
    )


class OpenAIVideos(DeleteToCancelProvider):
    """A server with an API like `/v1/videos`. Model names are the server's; `default` sends no model name."""

    name = "videos"
    settings_class = OpenAIVideosSettings
    # The maximum size of inline files depends on the server (2026-11).
    capabilities = Capabilities(cancel=True, progress=True, list_tasks=True, inline_limit=32 * 2**20)
    file_hosts = None

    def __init__(self, settings: Settings, videos: OpenAIVideosSettings) -> None:
        key = videos.api_key
        auth = static_headers(**({} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}))
        http = ProviderClient(self.name, ProviderHosts(videos.url), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))
        self._format = videos.format

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return the request that lists one video; some servers do not have this route (2026-11)."""
        return FreeRequest("GET", "/v1/videos?limit=1", also_accepted=_UNSUPPORTED)

    async def submit(self, request: SubmitRequest) -> Task:
        """Create a video."""
        model = {} if request.model == _DEFAULT_MODEL else {"model": request.model}
        given = {**model, **request.input}
        if "seconds" in given:
            given["seconds"] = str(given["seconds"])
        response = await self._http.submit("POST", "/v1/videos", **await self._encode(given))
        return self._task(response, response.at("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a video."""
        response = await self._http.get("GET", _path(task))
        if response.status == 404:
            return self._missing_status(task)
        return self._parse_status(task, self._http.json_object(response), response)

    async def cancel(self, task: Task) -> None:
        """Delete a video. vLLM-Omni then drops task and file; servers without DELETE let the task run (2026-11)."""
        response = await self._http.request("DELETE", _path(task))
        if response.ok:
            self._deleted.append(task.id)
        elif response.status not in _UNSUPPORTED:
            self._http.raise_if_transient(response)
            raise ProviderUnreachable(f"The server did not cancel the video: {sanitize(response)}")

    async def list_tasks(self, since: datetime) -> Sequence[ListedTask]:
        """Return the videos of the account. Raises ProviderFailed for a server without this route (2026-11)."""
        found: list[ListedTask] = []
        after: dict[str, str] = {}
        for _ in range(_MAX_PAGES):
            response = await self._http.get("GET", "/v1/videos", params={"limit": _PAGE, "order": "desc", **after})
            if response.status in _UNSUPPORTED:
                raise ProviderFailed(f"This server cannot list its videos: {sanitize(response)}")
            fields = self._http.json_object(response)
            page = [_listed(as_object(video)) for video in fields.get("data") or ()]
            found += [task for task in page if task.created_at is None or task.created_at >= since]
            is_past = any(task.created_at is not None and task.created_at < since for task in page)
            if is_past or not page or not fields.get("has_more"):
                return found
            after = {"after": page[-1].id}
        raise ProviderFailed(f"The server lists more than {_MAX_PAGES} pages of videos; choose a shorter time.")

    async def _encode(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if self._format == "json":
            return {"json": await encode_files(given, self.name, self.capabilities.inline_limit)}
        # httpx2 sends parts without a file name as ordinary fields; `files` makes it multipart even without files.
        return {"files": [(name, await self._part(each)) for name, value in given.items() for each in _parts(value)]}

    async def _part(self, value: Any) -> tuple[str | None, bytes] | tuple[str | None, bytes, str]:
        if isinstance(value, InputFile):
            data = await read_limited(value, self.name, self.capabilities.inline_limit)
            return value.path.name, data, value.media_type
        encoded = await encode_files(value, self.name, self.capabilities.inline_limit)
        return None, encoded.encode() if isinstance(encoded, str) else orjson.dumps(encoded)

    def _parse_status(self, task: Task, video: Mapping[str, Any], response: ProviderResponse) -> TaskStatus:
        status = text(video.get("status")) or "unknown"
        state = _STATES.get(status, "running")
        if state == "succeeded":
            url = f"{self._http.base_url}{_path(task)}/content"
            content = Output(url=url, name="video.mp4", media_type="video/mp4", requires_api_key=True)
            return TaskStatus(state, status, 1.0, (content,))
        if state == "failed":
            return _failed_status(status, video.get("error"))
        return TaskStatus(state, status, fraction(video.get("progress"), 100), retry_after=_poll_delay(response))


def _listed(video: Mapping[str, Any]) -> ListedTask:
    created = number(video.get("created_at"))
    return ListedTask(
        str(video.get("id")),
        text(video.get("model")),
        text(video.get("status")) or "unknown",
        None if created is None else datetime.fromtimestamp(created, UTC),
    )


def _path(task: Task) -> str:
    return f"/v1/videos/{quote(task.id, safe='')}"


def _parts(value: Any) -> Sequence[Any]:
    """Return the form parts of a value: a list of files has one part per file, any other value has one part."""
    is_file_list = isinstance(value, list | tuple) and bool(value) and all(isinstance(v, InputFile) for v in value)
    return value if is_file_list else (value,)


def _poll_delay(response: ProviderResponse) -> float | None:
    delay = response.headers.get("openai-poll-after-ms", "").strip()
    return min(int(delay) / 1000, _MAX_DELAY) if delay.isascii() and delay.isdecimal() and len(delay) < 10 else None


def _failed_status(status: str, error: Any) -> TaskStatus:
    """Return the status of a failed video. Some servers send the error as an object, others as a text."""
    if isinstance(error, Mapping):
        code, reason = text(error.get("code")) or "", text(error.get("message"))
    else:
        code, reason = "", text(error)
    message = redact_message(reason or code or "The server gave no reason.")
    return TaskStatus("failed", status, code=moderation_code(f"{code} {reason or ''}"), message=message)
