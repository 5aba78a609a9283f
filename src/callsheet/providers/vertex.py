"""Veo on Google's Vertex AI."""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable, SubmissionRejected
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, InputFile, Output, SubmitRequest, Task, TaskStatus
from callsheet.providers.http.base64_files import decode_base64
from callsheet.providers.http.client import AuthHeaders, ProviderClient, redact_message, static_headers
from callsheet.providers.http.json_fields import as_object, text, url
from callsheet.providers.http.request_files import file_as_base64, replace_files
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.settings import Settings

_NAME = "vertex"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_THE_INSTANCE = ("prompt", "image", "lastFrame", "referenceImages", "video", "mask")
_CANCELLED, _TOO_LATE = 1, 4
"""Codes of google.rpc."""


def open_vertex(settings: Settings) -> "Vertex":
    """Return Vertex AI by the settings. Raises ConfigurationError where the project, or a way to a token, is missing."""
    if settings.vertex_project is None:
        raise ConfigurationError("Vertex AI needs CALLSHEET_VERTEX_PROJECT")
    if settings.vertex_token is not None:
        return Vertex(settings, static_headers(Authorization=f"Bearer {settings.vertex_token.get_secret_value()}"))
    try:
        from callsheet.providers.google_tokens import google_tokens
    except ImportError:
        raise ConfigurationError("Vertex AI needs google-auth: pip install 'callsheet[vertex]'") from None
    return Vertex(settings, google_tokens())


class Vertex(BaseProvider):
    """Models are plain words, as in `veo-3.1-generate-001`."""

    name = _NAME
    capabilities = Capabilities(
        retention=timedelta(hours=24),
        inline_limit=14 * 2**20,
        quirks={
            "look": "2026-11: a task is read by a POST; `done` is absent as long as it runs",
            "blocked": "2026-11: a video that the filter blocked ends well, with counts of the filter and no video",
            "cancel": "2026-11: no way to cancel is documented",
            "retention": "2026-11: how long inline answers are kept is not documented; files in a bucket are one's own",
        },
    )

    def __init__(self, settings: Settings, keys: AuthHeaders) -> None:
        self._storage = settings.vertex_storage
        self._storage_url = settings.vertex_storage_url.rstrip("/")
        location = settings.vertex_location
        self._place = f"/v1beta1/projects/{settings.vertex_project}/locations/{location}/publishers/google/models"
        http = ProviderClient(
            _NAME,
            settings.vertex_url or _address(location),
            settings,
            keys=keys,
            origins=frozenset({_origin(self._storage_url)}),
            at_once=settings.provider_concurrency,
        )
        super().__init__(http, default_poll_policy(settings))

    async def submit(self, order: SubmitRequest) -> Task:
        """Begin a long-running prediction."""
        if not _MODEL.fullmatch(order.model):
            raise SubmissionRejected(f"'{order.model}' is not a model at Vertex AI")
        given = await replace_files(order.input, self._file)
        instance = {name: given.pop(name) for name in _OF_THE_INSTANCE if name in given}
        parameters = {"sampleCount": 1, **({"storageUri": self._storage} if self._storage else {}), **given}
        place = f"{self._place}/{order.model}"
        body = {"instances": [instance], "parameters": parameters}
        answer = await self._http.submit("POST", f"{place}:predictLongRunning", names=("name",), json=body)
        return self._task(answer, answer.fields().get("name"), place=place)

    async def get_status(self, task: Task) -> TaskStatus:
        """Read an operation."""
        path = f"{task.handle['place']}:fetchPredictOperation"
        answer = await self._http.get("POST", path, json={"operationName": task.id})
        if answer.status == 404:
            return self._lost_status()
        operation = self._http.json_object(answer)
        if operation.get("done") is not True:
            return TaskStatus("running", "running")
        error = as_object(operation.get("error"))
        return _failed(error) if error else await asyncio.to_thread(self._done, as_object(operation.get("response")))

    def _done(self, response: Mapping[str, Any]) -> TaskStatus:
        videos = response.get("videos")
        outputs = [self._output(as_object(video)) for video in (videos if isinstance(videos, list) else [])]
        if outputs:
            return TaskStatus("succeeded", "done", 1.0, outputs)
        reasons = response.get("raiMediaFilteredReasons")
        reason = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
        if reason or response.get("raiMediaFilteredCount"):
            message = redact_message(reason) or "Vertex AI's filter blocked the video, and gave no reason."
            return TaskStatus("failed", "filtered", code="content_refused", message=message)
        return TaskStatus(
            "failed", "done", code="provider_failed", message="Vertex AI made no video, and gave no reason."
        )

    def _output(self, video: Mapping[str, Any]) -> Output:
        media_type, data, uri = (
            text(video.get("mimeType")),
            video.get("bytesBase64Encoded"),
            url(video.get("gcsUri")),
        )
        if not isinstance(data, str):
            name = (uri or "").rpartition("/")[2] or None
            return Output(url=self._in_storage(uri or ""), name=name, media_type=media_type, requires_api_key=True)
        held = decode_base64(data)
        if held is None:
            raise ProviderUnreachable("Vertex AI gave a video that is no base64")
        return Output(inline=held, media_type=media_type)

    def _in_storage(self, uri: str) -> str:
        """Return where a `gs://` address is to be had."""
        bucket, _, thing = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not thing:
            return uri
        return f"{self._storage_url}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(thing, safe='')}?alt=media"

    async def _file(self, file: InputFile) -> dict[str, str]:
        data = await file_as_base64(file, _NAME, self.capabilities.inline_limit)
        return {"bytesBase64Encoded": data, "mimeType": file.media_type}


def _address(location: str) -> str:
    region = "" if location == "global" else f"{location}-"
    return f"https://{region}aiplatform.googleapis.com"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _failed(error: Mapping[str, Any]) -> TaskStatus:
    status = error.get("code")
    reason = text(error.get("message")) or "Vertex AI gave no reason."
    if status == _CANCELLED:
        return TaskStatus("cancelled", f"error {status}", message=redact_message(reason))
    code = moderation_code(reason, "deadline" if status == _TOO_LATE else "provider_failed")
    return TaskStatus("failed", f"error {status}", code=code, message=redact_message(reason))
