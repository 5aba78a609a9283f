"""Veo on Google's Vertex AI. It has no documented way to cancel a task (2026-11)."""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable, SubmissionRejected
from callsheet.domain.text_form import TextForm
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, InputFile, Output, SubmitRequest, Task, TaskStatus
from callsheet.providers.http.base64_files import decode_base64
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts, origin_of
from callsheet.providers.http.json_fields import as_object, text, url
from callsheet.providers.http.redaction import redact_message
from callsheet.providers.http.request_files import file_as_base64, replace_files
from callsheet.providers.http.transport import AuthHeaders, static_headers
from callsheet.providers.key_check import UNKNOWN_TASK, FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INSTANCE_FIELDS = ("prompt", "image", "lastFrame", "referenceImages", "video", "mask")
"""Input fields of the instance; all others are parameters."""
_CANCELLED, _DEADLINE_EXCEEDED = 1, 4
"""Codes of google.rpc."""


class VertexSettings(ProviderSettings):
    """Settings of Vertex AI."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_VERTEX_")

    project: str = Field(
        validation_alias=AliasChoices("CALLSHEET_VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
        description="Google Cloud project of Vertex AI",
    )
    location: str = Field("us-central1", description="Region of Vertex AI, or `global`")
    url: str | None = Field(None, description="Base URL of Vertex AI; unset: derived from the region")
    token: SecretStr | None = Field(
        None,
        description="Access token of Vertex AI, valid for about an hour; unset: the Google credentials of this "
        "machine, which need `callsheet[vertex]`",
    )
    storage: Annotated[str, TextForm(r"^gs://[a-z0-9._-]+(/.*)?$", "gs://bucket/folder")] | None = Field(
        None,
        description="Where Vertex AI stores its videos: `gs://bucket/folder`; unset: videos are part of its responses",
    )
    storage_url: str = Field("https://storage.googleapis.com", description="Base URL of Google Cloud Storage")


class Vertex(BaseProvider):
    """Vertex AI. Model names are plain: `veo-3.1-generate-001`."""

    name = "vertex"
    settings_class = VertexSettings
    # An assumption: the retention of inline responses is undocumented (2026-11). Files in your own bucket stay.
    capabilities = Capabilities(retention=timedelta(hours=24), inline_limit=14 * 2**20)

    def __init__(self, settings: Settings, vertex: VertexSettings) -> None:
        self._storage = vertex.storage
        self._storage_url = vertex.storage_url.rstrip("/")
        self._models = f"/v1beta1/projects/{vertex.project}/locations/{vertex.location}/publishers/google/models"
        base_url = vertex.url or _regional_url(vertex.location)
        hosts = ProviderHosts(base_url, origins=frozenset({origin_of(self._storage_url)}))
        super().__init__(ProviderClient(self.name, hosts, settings, auth=_auth(vertex)), default_poll_policy(settings))

    def free_request(self, model: str | None) -> FreeRequest | None:
        """Return the request that reads an operation that does not exist."""
        if model is None or not _MODEL.fullmatch(model):
            return None
        path = f"{self._models}/{model}"
        operation = {"operationName": f"{path.removeprefix('/v1beta1/')}/operations/{UNKNOWN_TASK}"}
        return FreeRequest("POST", f"{path}:fetchPredictOperation", json=operation, also_accepted=(400, 404))

    async def submit(self, request: SubmitRequest) -> Task:
        """Start a long-running prediction."""
        if not _MODEL.fullmatch(request.model):
            raise SubmissionRejected(f"'{request.model}' is not a model name of Vertex AI")
        given = await replace_files(request.input, self._encode_file)
        instance = {name: given.pop(name) for name in _INSTANCE_FIELDS if name in given}
        parameters = {"sampleCount": 1, **({"storageUri": self._storage} if self._storage else {}), **given}
        path = f"{self._models}/{request.model}"
        body = {"instances": [instance], "parameters": parameters}
        response = await self._http.submit("POST", f"{path}:predictLongRunning", task_id_path=("name",), json=body)
        return self._task(response, response.at("name"), place=path)

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of an operation. It is read by a POST (2026-11)."""
        path = f"{task.handle['place']}:fetchPredictOperation"
        response = await self._http.get("POST", path, json={"operationName": task.id})
        if response.status == 404:
            return self._lost_status()
        operation = self._http.json_object(response)
        # `done` is absent while the operation runs (2026-11).
        if operation.get("done") is not True:
            return TaskStatus("running", "running")
        error = as_object(operation.get("error"))
        if error:
            return _failed_status(error)
        # In a thread: decoding base64 videos is slow.
        return await asyncio.to_thread(self._done_status, as_object(operation.get("response")))

    def _done_status(self, response: Mapping[str, Any]) -> TaskStatus:
        videos = response.get("videos")
        outputs = [self._output(as_object(video)) for video in (videos if isinstance(videos, list) else [])]
        if outputs:
            return TaskStatus("succeeded", "done", 1.0, outputs)
        # A video that the safety filter blocked is a success with filter counts and without videos (2026-11).
        reasons = response.get("raiMediaFilteredReasons")
        reason = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
        if reason or response.get("raiMediaFilteredCount"):
            message = redact_message(reason) or "The safety filter of Vertex AI blocked the video without a reason."
            return TaskStatus("failed", "filtered", code="content_refused", message=message)
        message = "Vertex AI returned no video and no reason."
        return TaskStatus("failed", "done", code="provider_failed", message=message)

    def _output(self, video: Mapping[str, Any]) -> Output:
        media_type, data = text(video.get("mimeType")), video.get("bytesBase64Encoded")
        if not isinstance(data, str):
            uri = url(video.get("gcsUri")) or ""
            name = uri.rpartition("/")[2] or None
            return Output(url=self._download_url(uri), name=name, media_type=media_type, requires_api_key=True)
        decoded = decode_base64(data)
        if decoded is None:
            raise ProviderUnreachable("Vertex AI returned a video that is not base64")
        return Output(inline=decoded, media_type=media_type)

    def _download_url(self, uri: str) -> str:
        """Return the download URL of a `gs://` URI."""
        bucket, _, key = uri.removeprefix("gs://").partition("/")
        if not uri.startswith("gs://") or not key:
            return uri
        return f"{self._storage_url}/storage/v1/b/{quote(bucket, safe='')}/o/{quote(key, safe='')}?alt=media"

    async def _encode_file(self, file: InputFile) -> dict[str, str]:
        data = await file_as_base64(file, self.name, self.capabilities.inline_limit)
        return {"bytesBase64Encoded": data, "mimeType": file.media_type}


def _auth(vertex: VertexSettings) -> AuthHeaders:
    if vertex.token is not None:
        return static_headers(Authorization=f"Bearer {vertex.token.get_secret_value()}")
    try:
        from callsheet.providers.google_tokens import google_tokens
    except ImportError:
        raise ConfigurationError("provider 'vertex' needs google-auth: pip install 'callsheet[vertex]'") from None
    return google_tokens()


def _regional_url(location: str) -> str:
    region = "" if location == "global" else f"{location}-"
    return f"https://{region}aiplatform.googleapis.com"


def _failed_status(error: Mapping[str, Any]) -> TaskStatus:
    status = error.get("code")
    reason = text(error.get("message")) or "Vertex AI gave no reason."
    if status == _CANCELLED:
        return TaskStatus("cancelled", f"error {status}", message=redact_message(reason))
    code = moderation_code(reason, "deadline" if status == _DEADLINE_EXCEEDED else "provider_failed")
    return TaskStatus("failed", f"error {status}", code=code, message=redact_message(reason))
