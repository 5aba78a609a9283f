"""Google's Gemini API: videos by the Interactions API."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ProviderUnreachable
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
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, text, url
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import file_as_base64, format_seconds, replace_files
from callsheet.providers.http.transport import static_headers
from callsheet.providers.key_check import FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.providers.webhooks.jwks import Jwks
from callsheet.providers.webhooks.signatures import read_json_object, verify_google_webhook
from callsheet.settings import Settings

_PATH = "/v1beta/interactions"
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
_FORMAT_FIELDS = ("aspect_ratio", "duration", "resolution")
"""Input fields of the response format."""
_OUTPUT_TYPES = ("video", "image", "audio")
_FILE_ID = re.compile(r"(?:^|/)files/([A-Za-z0-9_-]+)")


class GoogleSettings(ProviderSettings):
    """Settings of Google's Gemini API."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_GOOGLE_")

    api_key: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"),
        description="API key of Google's Gemini API",
    )
    url: str = Field("https://generativelanguage.googleapis.com", description="Base URL of the Gemini API")
    keys_url: str = Field(
        "https://generativelanguage.googleapis.com/.well-known/jwks.json",
        description="URL of the public keys (JWKS) of the Gemini API's webhooks",
    )


class Google(BaseProvider):
    """Gemini API. Model names are plain: `gemini-omni-1.1-flash`.

    Webhooks of single video requests were reported never to arrive (2026-07), so the models use polling.
    """

    name = "google"
    settings_class = GoogleSettings
    # `signed` is false: how a webhook's token binds its body is undocumented (2026-06). A forged body is undetected.
    # Files are kept for 2 days, interactions on the free tier for one day (2026-11).
    capabilities = Capabilities(webhook=True, cancel=True, retention=timedelta(hours=24), inline_limit=14 * 2**20)

    def __init__(self, settings: Settings, google: GoogleSettings) -> None:
        auth = static_headers(**{"x-goog-api-key": google.api_key.get_secret_value()})
        http = ProviderClient(self.name, ProviderHosts(google.url), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))
        self._jwks = Jwks(google.keys_url)

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return the request that lists one model."""
        return FreeRequest("GET", "/v1beta/models?pageSize=1")

    async def submit(self, request: SubmitRequest) -> Task:
        """Start an interaction in the background."""
        body = await self._body(request)
        if request.webhook:
            metadata = {"client_reference": request.client_reference}
            body["webhook_config"] = {"uris": [request.webhook], "user_metadata": metadata}
        response = await self._http.submit("POST", _PATH, json=body)
        return self._task(response, response.at("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of an interaction and of its files."""
        response = await self._http.get("GET", _path(task))
        if response.status == 404:
            return self._lost_status()
        interaction = self._http.json_object(response)
        status = text(interaction.get("status")) or "unknown"
        state = _STATES.get(status, "running")
        if state == "succeeded":
            return await self._completed_status(status, interaction)
        if state == "failed":
            return _failed_status(status, interaction)
        return TaskStatus(state, status)

    async def cancel(self, task: Task) -> None:
        """Cancel an interaction."""
        response = await self._http.get("POST", f"{_path(task)}/cancel")
        if not response.ok and response.status not in (400, 404, 409):
            raise ProviderUnreachable(f"Google did not cancel the interaction: {sanitize(response)}")

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify the token of a webhook and parse the body. The token proves the sender, not the body."""
        message_id, _ = await self._jwks.verify(lambda keys: verify_google_webhook(keys, headers, now))
        fields = read_json_object(body)
        return WebhookEvent(text(as_object(fields.get("data")).get("id")), message_id, text(fields.get("type")) or "")

    async def _body(self, request: SubmitRequest) -> dict[str, Any]:
        given = dict(request.input)
        # Google can return the whole video inline in base64, although a URI is requested (2026-06).
        response_format = {"type": "video", "delivery": "uri"} | {
            name: given.pop(name) for name in _FORMAT_FIELDS if name in given
        }
        if "duration" in response_format:
            response_format["duration"] = format_seconds(response_format["duration"])
        prompt = {"type": "text", "text": given.pop("prompt", "")}
        files = [file for name in list(given) for file in _pop_files(given, name)]
        parts = [prompt, *[await self._part(file) for file in files]]
        return {
            **await replace_files(given, self._part),
            "input": parts if files else prompt["text"],
            "response_format": response_format,
            "model": request.model,
            "background": True,
        }

    async def _part(self, file: InputFile) -> dict[str, str]:
        kind = file.media_type.split("/", 1)[0]
        size = (await asyncio.to_thread(file.path.stat)).st_size
        if file.url and size > self.capabilities.inline_limit:
            return {"type": kind, "uri": file.url, "mime_type": file.media_type}
        data = await file_as_base64(file, self.name, self.capabilities.inline_limit)
        return {"type": kind, "data": data, "mime_type": file.media_type}

    async def _completed_status(self, status: str, interaction: Mapping[str, Any]) -> TaskStatus:
        parts = _last_output_parts(interaction)
        if not parts:
            # An interaction whose video was blocked is completed, without a video (2026-06).
            message = "Google returned no video and no reason; in most cases its safety filter blocked it."
            return TaskStatus("failed", status, code="content_refused", message=message)
        outputs = []
        for part in parts:
            output = await self._output(status, part)
            if isinstance(output, TaskStatus):
                return output
            outputs.append(output)
        return TaskStatus("succeeded", status, 1.0, outputs)

    async def _output(self, status: str, part: Mapping[str, Any]) -> Output | TaskStatus:
        """Return a file, or the status of the task while the file is not ready."""
        media_type = text(part.get("mime_type"))
        data, uri = part.get("data"), url(part.get("uri"))
        if isinstance(data, str) and data:
            return await asyncio.to_thread(_inline_output, data, media_type)
        file_id = _FILE_ID.search(uri or "")
        if uri is None or file_id is None or ("://" in uri and not self._http.is_provider_host(uri)):
            return Output(url=uri, media_type=media_type)
        return await self._stored_output(status, f"/v1beta/files/{file_id[1]}", media_type)

    async def _stored_output(self, status: str, path: str, media_type: str | None) -> Output | TaskStatus:
        response = await self._http.get("GET", path)
        if response.status in (403, 404):
            message = "Google has deleted the file."
            return TaskStatus("failed", status, code="output_expired", message=message)
        file = self._http.json_object(response)
        state = text(file.get("state"))
        if state == "FAILED":
            reason = text(as_object(file.get("error")).get("message")) or "no reason was given"
            message = f"Google could not process the file: {redact_message(reason)}"
            return TaskStatus("failed", status, code=moderation_code(reason), message=message)
        if state != "ACTIVE":
            return TaskStatus("running", f"{status}, file {state or 'unknown'}")
        download_url = f"{self._http.base_url}{path}:download?alt=media"
        return Output(url=download_url, name=path.rpartition("/")[2], media_type=media_type, requires_api_key=True)


def _pop_files(given: dict[str, Any], name: str) -> list[InputFile]:
    """Remove and return an input that is a file or a list of files; an empty list for any other input."""
    files = given[name] if isinstance(given[name], list | tuple) else [given[name]]
    if not files or not all(isinstance(file, InputFile) for file in files):
        return []
    del given[name]
    return list(files)


def _path(task: Task) -> str:
    return f"{_PATH}/{quote(task.id, safe='')}"


def _last_output_parts(interaction: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the files of the last step that has files."""
    steps = interaction.get("steps")
    for step in reversed(steps if isinstance(steps, list) else []):
        if parts := list(_output_parts(as_object(step))):
            return parts
    return []


def _output_parts(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    content = step.get("content")
    if step.get("type") != "model_output" or not isinstance(content, list):
        return
    for part in map(as_object, content):
        if part.get("type") in _OUTPUT_TYPES and (part.get("uri") or part.get("data")):
            yield part


def _inline_output(data: str, media_type: str | None) -> Output:
    decoded = decode_base64(data)
    if decoded is None:
        raise ProviderUnreachable("Google returned a file that is not base64")
    return Output(inline=decoded, media_type=media_type)


def _failed_status(status: str, interaction: Mapping[str, Any]) -> TaskStatus:
    errors = interaction.get("errors")
    error = as_object(errors[0]) if isinstance(errors, list) and errors else as_object(interaction.get("error"))
    reason = text(error.get("message")) or f"Google gave no reason, only the status '{status}'."
    code = moderation_code(f"{text(error.get('code')) or ''} {reason}")
    return TaskStatus("failed", status, code=code, message=redact_message(reason))
