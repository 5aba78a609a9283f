"""Fake of Google's Gemini API, as of 2026-11: interactions, files, webhooks with a token (RS256)."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.base import BaseFakeProvider
from callsheet.fakes.providers.fake_server import Endpoint, FakeTask
from callsheet.fakes.providers.task_script import (
    Cancelled,
    Expired,
    Failed,
    FakeFile,
    Lost,
    Queued,
    Running,
    Stage,
    Succeeded,
    UnknownStatus,
)
from callsheet.providers.google import GoogleSettings

_PATH = "/v1beta/interactions"
_KID = "fake"
_STATUSES: Mapping[type[Stage], str] = {
    Queued: "queued",
    Running: "in_progress",
    Succeeded: "completed",
    Expired: "completed",
    Failed: "failed",
    Cancelled: "cancelled",
}


@cache
def signing_key() -> RSAPrivateKey:
    """Return the key that signs the tokens."""
    return generate_private_key(public_exponent=65537, key_size=2048)


class FakeGoogle(BaseFakeProvider):
    """Fake of the Gemini API. `inline`: it returns videos in base64, whatever was requested."""

    name = "google"
    settings_class = GoogleSettings
    model = "gemini-omni-1.1-flash"
    key = "AIzaFakeKeyOfGoogle"
    inline = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        keys_url = f"{self.base_url}/.well-known/jwks.json"
        return {"url": self.base_url, "api_key": self.key, "keys_url": keys_url}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", _PATH, self._create),
            Endpoint("status", "GET", f"{_PATH}/{{id}}", self._get),
            Endpoint("cancel", "POST", f"{_PATH}/{{id}}/cancel", self._cancel),
            Endpoint("download", "GET", "/v1beta/files/{number}:download", self._file),
            Endpoint("file", "GET", "/v1beta/files/{number}", self._file_status),
            Endpoint("models", "GET", "/v1beta/models", self._models),
            Endpoint("keys", "GET", "/.well-known/jwks.json", self._keys),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Check the API key header, also for files."""
        return kind == "keys" or request.headers.get("x-goog-api-key") == self.key

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in Google's format."""
        return JSONResponse({"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}, status)

    def webhook_body(self, task: FakeTask) -> bytes:
        """Return the body of a webhook, which contains little more than the id of the interaction."""
        kind = f"interaction.{_status(task.stage)}"
        moment = (task.ended_at or task.created_at).isoformat()
        return json.dumps({"type": kind, "version": "v1", "timestamp": moment, "data": {"id": task.id}}).encode()

    def webhook_headers(self, task: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:  # noqa: ARG002 - the body is not signed
        """Return a token that proves the sender."""
        moment = int(at.timestamp())
        claims = {"iss": "https://generativelanguage.googleapis.com", "iat": moment, "exp": moment + 300}
        return {
            "webhook-id": f"msg_{task.id}",
            "webhook-timestamp": str(moment),
            "webhook-signature": jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": _KID}),
        }

    async def _keys(self, _: Request) -> Response:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": _KID, "alg": "RS256", "use": "sig"}]})

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"models": [{"name": f"models/{self.model}"}], "nextPageToken": "next"})

    async def _create(self, request: Request) -> Response:
        fields = await request.json()
        if not fields.get("model") or not fields.get("input"):
            return self.error_response(400, "model and input are required")
        uris = fields.get("webhook_config", {}).get("uris", [])
        if uris and not fields.get("background"):
            return self.error_response(400, "webhook_config needs background")
        task = await self.accept(fields["model"], fields, uris[0] if uris else None)
        return JSONResponse(self._to_json(task, Queued()))

    async def _get(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost):
            return self.error_response(404, "Requested entity was not found.")
        return JSONResponse(self._to_json(task, stage))

    async def _cancel(self, request: Request) -> Response:
        task = self.requested_task(request)
        if task is None:
            return self.error_response(404, "Requested entity was not found.")
        if task.ended_at is not None:
            return self.error_response(400, "The interaction is not in progress.")
        await self.end_with(task, Cancelled())
        return JSONResponse(self._to_json(task, task.stage))

    async def _file_status(self, request: Request) -> Response:
        number = request.path_params["number"]
        file = self._files.get(number)
        if file is None:
            return self.error_response(403, "You do not have permission to access the file, or it may not exist.")
        fields = {"name": f"files/{number}", "mimeType": file.media_type, "sizeBytes": f"{len(file.data)}"}
        return JSONResponse({**fields, "state": "ACTIVE", "uri": f"{self.base_url}/v1beta/files/{number}"})

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        moment = task.created_at.isoformat()
        fields: dict[str, Any] = {
            "id": task.id,
            "object": "interaction",
            "model": task.model,
            "created": moment,
            "updated": moment,
        }
        prompt = {"type": "user_input", "content": [{"type": "text", "text": "…"}]}
        steps: list[dict[str, Any]] = [prompt, {"type": "thought", "signature": "c2lnbmF0dXJl"}]
        match stage:
            case Succeeded():
                parts = [
                    self._part(file, url) for file, url in zip(self.output_files(stage), self._uris(stage), strict=True)
                ]
                steps.append({"type": "model_output", "content": [{"type": "text", "text": "Here it is."}, *parts]})
            case Expired():
                part = {"type": "video", "mime_type": "video/mp4", "uri": f"{self.base_url}/v1beta/files/gone"}
                steps.append({"type": "model_output", "content": [part]})
            case Failed(message, why) if why != "content":
                fields["errors"] = [{"code": "internal", "message": message}]
        return {**fields, "status": _status(stage), "steps": steps}

    def _uris(self, stage: Succeeded) -> list[str]:
        numbers = [url.split("/")[-2] for url in self.output_urls(self.output_files(stage))]
        urls = [f"{self.base_url}/v1beta/files/{number}" for number in numbers]
        return [file.url or url for file, url in zip(self.output_files(stage), urls, strict=True)]

    def _part(self, file: FakeFile, uri: str) -> dict[str, str]:
        fields = {"type": file.media_type.split("/")[0], "mime_type": file.media_type}
        return fields | ({"data": base64.b64encode(file.data).decode()} if self.inline else {"uri": uri})


def _status(stage: Stage) -> str:
    if isinstance(stage, UnknownStatus):
        return stage.status
    # A video that the safety filter blocked is completed, without a file.
    return "completed" if isinstance(stage, Failed) and stage.why == "content" else _STATUSES.get(type(stage), "failed")
