"""Google's Gemini API: videos by the Interactions API."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import (
    Capabilities,
    InputFile,
    Output,
    SubmitRequest,
    Task,
    TaskState,
    TaskStatus,
    WebhookEvent,
)
from callsheet.providers.http.base64_files import decode_base64
from callsheet.providers.http.client import ProviderClient, redact_message, sanitize, static_headers
from callsheet.providers.http.json_fields import as_object, text, url
from callsheet.providers.http.request_files import file_as_base64, format_seconds, replace_files
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.webhooks.jwks import Jwks
from callsheet.providers.webhooks.signatures import read_json_object, verify_google_webhook
from callsheet.settings import Settings

_NAME = "google"
_PLACE = "/v1beta/interactions"
_STATES: Mapping[str, TaskState] = {
    "queued": "queued",
    "in_progress": "running",
    "completed": "succeeded",
    "failed": "failed",
    "incomplete": "failed",
    "budget_exceeded": "failed",
    "requires_action": "failed",
    "requires_continuation": "failed",
    "cancelled": "cancelled",
}
_WHAT_IS_WANTED = ("aspect_ratio", "duration", "resolution")
_MADE = ("video", "image", "audio")
_FILE = re.compile(r"(?:^|/)files/([A-Za-z0-9_-]+)")


def open_google(settings: Settings) -> "Google":
    """Return the Gemini API by the settings. Raises ConfigurationError where the key is missing."""
    if settings.google_api_key is None:
        raise ConfigurationError("Google needs GOOGLE_GENERATIVE_AI_API_KEY")
    return Google(settings, settings.google_api_key.get_secret_value())


class Google(BaseProvider):
    """Models are plain words, as in `gemini-omni-1.1-flash`."""

    name = _NAME
    # Its calls carry a token of Google's, but nothing that binds what they say: a forged one looks as good.
    capabilities = Capabilities(
        webhook=True,
        cancel=True,
        retention=timedelta(hours=24),
        inline_limit=14 * 2**20,
        quirks={
            "webhooks": "2026-07: webhooks of a single order were reported never to come for video; looks come first",
            "token": "2026-06: how a webhook's token binds its body is not documented, so that it is a hint only",
            "inline": "2026-06: a look may give the whole film in base64 though an address was asked for",
            "blocked": "2026-06: a task whose video was blocked is completed, without a video",
            "retention": "2026-11: files are kept for 2 days, interactions for a day on the free tier",
        },
    )

    def __init__(self, settings: Settings, key: str) -> None:
        http = ProviderClient(
            _NAME,
            settings.google_url,
            settings,
            keys=static_headers(**{"x-goog-api-key": key}),
            at_once=settings.provider_concurrency,
        )
        super().__init__(http, default_poll_policy(settings))
        self._key_set = Jwks(settings.google_keys_url)

    async def submit(self, order: SubmitRequest) -> Task:
        """Begin an interaction in the background."""
        body = await self._body(order)
        if order.webhook:
            body["webhook_config"] = {"uris": [order.webhook], "user_metadata": {"mark": order.client_reference}}
        answer = await self._http.submit("POST", _PLACE, json=body)
        return self._task(answer, answer.fields().get("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Read an interaction, and whether its files are ready."""
        answer = await self._http.get("GET", _path(task))
        if answer.status == 404:
            return self._lost_status()
        interaction = self._http.json_object(answer)
        status = text(interaction.get("status")) or "unknown"
        state = _STATES.get(status, "running")
        if state == "succeeded":
            return await self._completed(status, interaction)
        if state == "failed":
            return _failed(status, interaction)
        return TaskStatus(state, status)

    async def cancel(self, task: Task) -> None:
        """Cancel an interaction."""
        answer = await self._http.get("POST", f"{_path(task)}/cancel")
        if not answer.ok and answer.status not in (400, 404, 409):
            raise ProviderUnreachable(f"Google did not cancel the interaction: {sanitize(answer)}")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Check the token of a call, and read what it says: a hint, since the token proves the caller alone."""
        message_id, _ = await self._key_set.verify(lambda keys: verify_google_webhook(keys, headers, now))
        fields = read_json_object(body)
        return WebhookEvent(text(as_object(fields.get("data")).get("id")), message_id, text(fields.get("type")) or "")

    async def _body(self, order: SubmitRequest) -> dict[str, Any]:
        given = dict(order.input)
        wanted = {"type": "video", "delivery": "uri"} | {
            name: given.pop(name) for name in _WHAT_IS_WANTED if name in given
        }
        if "duration" in wanted:
            wanted["duration"] = format_seconds(wanted["duration"])
        prompt = {"type": "text", "text": given.pop("prompt", "")}
        files = [file for name in list(given) for file in _files_in(given, name)]
        parts = [prompt, *[await self._part(file) for file in files]]
        said = {"input": parts if files else prompt["text"], "response_format": wanted}
        return {**await replace_files(given, self._part), **said, "model": order.model, "background": True}

    async def _part(self, file: InputFile) -> dict[str, str]:
        kind = file.media_type.split("/", 1)[0]
        size = (await asyncio.to_thread(file.path.stat)).st_size
        if file.url and size > self.capabilities.inline_limit:
            return {"type": kind, "uri": file.url, "mime_type": file.media_type}
        data = await file_as_base64(file, _NAME, self.capabilities.inline_limit)
        return {"type": kind, "data": data, "mime_type": file.media_type}

    async def _completed(self, status: str, interaction: Mapping[str, Any]) -> TaskStatus:
        parts = _last_made(interaction)
        if not parts:
            message = "Google made no video, and gave no reason; as a rule its filter blocked it."
            return TaskStatus("failed", status, code="content_refused", message=message)
        outputs = []
        for part in parts:
            output = await self._output(status, part)
            if isinstance(output, TaskStatus):
                return output
            outputs.append(output)
        return TaskStatus("succeeded", status, 1.0, outputs)

    async def _output(self, status: str, part: Mapping[str, Any]) -> Output | TaskStatus:
        """Return a file, or how the task stands in truth: as long as a file is not ready, it still runs."""
        media_type = text(part.get("mime_type"))
        data, uri = part.get("data"), url(part.get("uri"))
        if isinstance(data, str) and data:
            return await asyncio.to_thread(_inline, data, media_type)
        found = _FILE.search(uri or "")
        if uri is None or found is None or ("://" in uri and not self._http.is_provider_host(uri)):
            return Output(url=uri, media_type=media_type)
        return await self._stored(status, f"/v1beta/files/{found[1]}", media_type)

    async def _stored(self, status: str, path: str, media_type: str | None) -> Output | TaskStatus:
        answer = await self._http.get("GET", path)
        if answer.status in (403, 404):
            return TaskStatus(
                "failed", status, code="output_expired", message="Google does not have the file any more."
            )
        file = self._http.json_object(answer)
        state = text(file.get("state"))
        if state == "FAILED":
            reason = text(as_object(file.get("error")).get("message")) or "no reason was given"
            return TaskStatus(
                "failed",
                status,
                code=moderation_code(reason),
                message=f"Google lost the file: {redact_message(reason)}",
            )
        if state != "ACTIVE":
            return TaskStatus("running", f"{status}, file {state or 'unknown'}")
        url = f"{self._http.base_url}{path}:download?alt=media"
        return Output(url=url, name=path.rpartition("/")[2], media_type=media_type, requires_api_key=True)


def _files_in(given: dict[str, Any], name: str) -> list[InputFile]:
    """Take out an input that is a file, or a list of files, and return them."""
    files = given[name] if isinstance(given[name], list | tuple) else [given[name]]
    if not files or not all(isinstance(file, InputFile) for file in files):
        return []
    del given[name]
    return list(files)


def _path(task: Task) -> str:
    return f"{_PLACE}/{quote(task.id, safe='')}"


def _last_made(interaction: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the files of the last step that has some."""
    steps = interaction.get("steps")
    for step in reversed(steps if isinstance(steps, list) else []):
        if made := list(_made_in(as_object(step))):
            return made
    return []


def _made_in(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = step.get("content")
    if step.get("type") != "model_output" or not isinstance(content, list):
        return
    for part in map(as_object, content):
        if part.get("type") in _MADE and (part.get("uri") or part.get("data")):
            yield part


def _inline(data: str, media_type: str | None) -> Output:
    held = decode_base64(data)
    if held is None:
        raise ProviderUnreachable("Google gave a file that is no base64")
    return Output(inline=held, media_type=media_type)


def _failed(status: str, interaction: Mapping[str, Any]) -> TaskStatus:
    errors = interaction.get("errors")
    first = as_object(errors[0]) if isinstance(errors, list) and errors else as_object(interaction.get("error"))
    reason = text(first.get("message")) or f"Google gave no reason, but the state '{status}'."
    code = moderation_code(f"{text(first.get('code')) or ''} {reason}")
    return TaskStatus("failed", status, code=code, message=redact_message(reason))
