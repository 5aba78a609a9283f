"""The Gemini API, as of 2026-11: interactions, files, and webhooks with a token (RS256)."""

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

_PLACE = "/v1beta/interactions"
_KID = "stand-in"
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
    """Return the key that its tokens are signed by."""
    return generate_private_key(public_exponent=65537, key_size=2048)


class FakeGoogle(BaseFakeProvider):
    """The Gemini API. `inline`: it gives films in base64 whatever was asked for."""

    name = "google"
    model = "gemini-omni-1.1-flash"
    key = "AIzaStandInKeyOfGoogle"
    inline = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        keys_url = f"{self.base_url}/.well-known/jwks.json"
        return {"google_url": self.base_url, "google_api_key": self.key, "google_keys_url": keys_url}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("submit", "POST", _PLACE, self._create),
            Endpoint("status", "GET", f"{_PLACE}/{{id}}", self._get),
            Endpoint("cancel", "POST", f"{_PLACE}/{{id}}/cancel", self._cancel),
            Endpoint("download", "GET", "/v1beta/files/{number}:download", self._file),
            Endpoint("file", "GET", "/v1beta/files/{number}", self._about_file),
            Endpoint("keys", "GET", "/.well-known/jwks.json", self._keys),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Ask for the key in its header, for files as well."""
        return kind == "keys" or request.headers.get("x-goog-api-key") == self.key

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in Google's shape."""
        return JSONResponse({"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}, status)

    def webhook_body(self, taken: FakeTask) -> bytes:
        """Return what a webhook says: which interaction, and little more."""
        kind = f"interaction.{_status(taken.stage)}"
        moment = (taken.ended_at or taken.created_at).isoformat()
        return json.dumps({"type": kind, "version": "v1", "timestamp": moment, "data": {"id": taken.id}}).encode()

    def webhook_headers(self, taken: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:  # noqa: ARG002 - it signs no body
        """Give a token that proves who calls."""
        moment = int(at.timestamp())
        claims = {"iss": "https://generativelanguage.googleapis.com", "iat": moment, "exp": moment + 300}
        return {
            "webhook-id": f"msg_{taken.id}",
            "webhook-timestamp": str(moment),
            "webhook-signature": jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": _KID}),
        }

    async def _keys(self, _: Request) -> Response:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": _KID, "alg": "RS256", "use": "sig"}]})

    async def _create(self, request: Request) -> Response:
        told = await request.json()
        if not told.get("model") or not told.get("input"):
            return self.error_response(400, "model and input are required")
        uris = told.get("webhook_config", {}).get("uris", [])
        if uris and not told.get("background"):
            return self.error_response(400, "webhook_config needs background")
        taken = await self.accept(told["model"], told, uris[0] if uris else None)
        return JSONResponse(self._shown(taken, Queued()))

    async def _get(self, request: Request) -> Response:
        taken = self.requested_task(request)
        stage = self.advance_or_lost(taken)
        if taken is None or isinstance(stage, Lost):
            return self.error_response(404, "Requested entity was not found.")
        return JSONResponse(self._shown(taken, stage))

    async def _cancel(self, request: Request) -> Response:
        taken = self.requested_task(request)
        if taken is None:
            return self.error_response(404, "Requested entity was not found.")
        if taken.ended_at is not None:
            return self.error_response(400, "The interaction is not in progress.")
        await self.end_with(taken, Cancelled())
        return JSONResponse(self._shown(taken, taken.stage))

    async def _about_file(self, request: Request) -> Response:
        number = request.path_params["number"]
        file = self._files.get(number)
        if file is None:
            return self.error_response(403, "You do not have permission to access the file, or it may not exist.")
        told = {"name": f"files/{number}", "mimeType": file.media_type, "sizeBytes": f"{len(file.data)}"}
        return JSONResponse({**told, "state": "ACTIVE", "uri": f"{self.base_url}/v1beta/files/{number}"})

    def _shown(self, taken: FakeTask, stage: Stage) -> dict[str, Any]:
        moment = taken.created_at.isoformat()
        told: dict[str, Any] = {
            "id": taken.id,
            "object": "interaction",
            "model": taken.model,
            "created": moment,
            "updated": moment,
        }
        said = {"type": "user_input", "content": [{"type": "text", "text": "…"}]}
        steps: list[dict[str, Any]] = [said, {"type": "thought", "signature": "c2lnbmF0dXJl"}]
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
                told["errors"] = [{"code": "internal", "message": message}]
        return {**told, "status": _status(stage), "steps": steps}

    def _uris(self, stage: Succeeded) -> list[str]:
        numbered = [url.split("/")[-2] for url in self.output_urls(self.output_files(stage))]
        places = [f"{self.base_url}/v1beta/files/{number}" for number in numbered]
        return [file.url or place for file, place in zip(self.output_files(stage), places, strict=True)]

    def _part(self, file: FakeFile, uri: str) -> dict[str, str]:
        told = {"type": file.media_type.split("/")[0], "mime_type": file.media_type}
        return told | ({"data": base64.b64encode(file.data).decode()} if self.inline else {"uri": uri})


def _status(stage: Stage) -> str:
    if isinstance(stage, UnknownStatus):
        return stage.status
    # What the filter blocked ends well, without a film.
    return "completed" if isinstance(stage, Failed) and stage.why == "content" else _STATUSES.get(type(stage), "failed")
