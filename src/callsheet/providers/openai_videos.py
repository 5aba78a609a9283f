"""Any server of the `/v1/videos` shape: vLLM-Omni, gateways, and what else speaks it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import orjson

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable
from callsheet.providers.contract import Capabilities, InputFile, Output, SubmitRequest, Task, TaskState, TaskStatus
from callsheet.providers.delete_to_cancel import DeleteToCancelProvider
from callsheet.providers.http.client import ProviderClient, ProviderResponse, redact_message, sanitize, static_headers
from callsheet.providers.http.json_fields import fraction, text
from callsheet.providers.http.request_files import encode_files, read_limited
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.settings import Settings

_NAME = "videos"
_STATES: Mapping[str, TaskState] = {
    "queued": "queued",
    "pending": "queued",
    "in_progress": "running",
    "processing": "running",
    "completed": "succeeded",
    "succeeded": "succeeded",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
_ANY_MODEL = "default"
_NO_SUCH_THING = (404, 405, 501)


def open_openai_videos(settings: Settings) -> "OpenAIVideos":
    """Return the server by the settings. Raises ConfigurationError where none is named."""
    if settings.openai_videos_url is None:
        raise ConfigurationError("A server of the /v1/videos shape needs CALLSHEET_OPENAI_VIDEOS_URL")
    key = settings.openai_videos_api_key
    return OpenAIVideos(settings, settings.openai_videos_url, None if key is None else key.get_secret_value())


class OpenAIVideos(DeleteToCancelProvider):
    """Models are the server's own; `default` is the one that it takes when none is named."""

    name = _NAME
    capabilities = Capabilities(
        cancel=True,
        progress=True,
        inline_limit=32 * 2**20,
        quirks={
            "cancel": "2026-11: DELETE drops task and file at vLLM-Omni; servers without it let the task go on",
            "states": "2026-11: gateways have states of their own beside the four of the shape",
            "inline": "2026-11: how large files inside of orders may be is up to the server",
        },
    )
    hosts = None

    def __init__(self, settings: Settings, url: str, key: str | None) -> None:
        http = ProviderClient(
            _NAME,
            url,
            settings,
            keys=static_headers(**({} if key is None else {"Authorization": f"Bearer {key}"})),
            at_once=settings.provider_concurrency,
        )
        super().__init__(http, default_poll_policy(settings))
        self._format: Literal["multipart", "json"] = settings.openai_videos_format

    async def submit(self, order: SubmitRequest) -> Task:
        """Create a video."""
        model = {} if order.model == _ANY_MODEL else {"model": order.model}
        given = {**model, **order.input}
        if "seconds" in given:
            given["seconds"] = str(given["seconds"])
        answer = await self._http.submit("POST", "/v1/videos", **await self._body(given))
        return self._task(answer, answer.fields().get("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Read a video's state."""
        answer = await self._http.get("GET", _path(task))
        if answer.status == 404:
            return self._missing(task)
        return self._look(task, self._http.json_object(answer), answer)

    async def cancel(self, task: Task) -> None:
        """Delete a video, where the server can."""
        answer = await self._http.request("DELETE", _path(task))
        if answer.ok:
            self._deleted.append(task.id)
        elif answer.status not in _NO_SUCH_THING:
            raise ProviderUnreachable(
                f"The server did not cancel the video: {sanitize(self._http.raise_if_transient(answer))}"
            )

    async def _body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if self._format == "json":
            return {"json": await encode_files(given, _NAME, self.capabilities.inline_limit)}
        # A part without a file name is an ordinary field; it is a form of several parts even without files.
        return {"files": [(name, await self._part(each)) for name, value in given.items() for each in _each(value)]}

    async def _part(self, value: Any) -> tuple[str | None, bytes] | tuple[str | None, bytes, str]:
        if isinstance(value, InputFile):
            data = await read_limited(value, _NAME, self.capabilities.inline_limit)
            return value.path.name, data, value.media_type
        return None, _written(await encode_files(value, _NAME, self.capabilities.inline_limit)).encode()

    def _look(self, task: Task, video: Mapping[str, Any], answer: ProviderResponse) -> TaskStatus:
        status = text(video.get("status")) or "unknown"
        state = _STATES.get(status, "running")
        if state == "succeeded":
            url = f"{self._http.base_url}{_path(task)}/content"
            content = Output(url=url, name="video.mp4", media_type="video/mp4", requires_api_key=True)
            return TaskStatus(state, status, 1.0, (content,))
        if state == "failed":
            return _failed(status, video.get("error"))
        return TaskStatus(state, status, fraction(video.get("progress"), 100), retry_after=_wait(answer))


def _path(task: Task) -> str:
    return f"/v1/videos/{quote(task.id, safe='')}"


def _each(value: Any) -> Sequence[Any]:
    """Return what is sent under one name: of several files, each is a part of its own."""
    several = isinstance(value, list | tuple) and bool(value) and all(isinstance(each, InputFile) for each in value)
    return value if several else (value,)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _wait(answer: ProviderResponse) -> float | None:
    wait = answer.headers.get("openai-poll-after-ms", "").strip()
    return min(int(wait) / 1000, 3600.0) if wait.isascii() and wait.isdecimal() and len(wait) < 10 else None


def _failed(status: str, error: Any) -> TaskStatus:
    """Read an error, which is an object at some servers and a text at others."""
    if isinstance(error, Mapping):
        kind, reason = text(error.get("code")) or "", text(error.get("message"))
    else:
        kind, reason = "", text(error)
    message = redact_message(reason or kind or "The server gave no reason.")
    return TaskStatus("failed", status, code=moderation_code(f"{kind} {reason or ''}"), message=message)
