"""Fake of fal's queue API, as of 2026-11: submit, status, result, cancel, webhooks signed with Ed25519."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.fake_server import Endpoint, FakeServer, FakeTask
from callsheet.fakes.providers.task_script import (
    FINAL_STAGES,
    Cancelled,
    Expired,
    Failed,
    Lost,
    Queued,
    Running,
    Stage,
    Succeeded,
    UnknownStatus,
)
from callsheet.providers.fal import FalSettings

_SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
_USER = "callsheet-fake-user"
_TASK_PATH = "/{owner}/{app}/requests/{id}"


class FakeFal(FakeServer):
    """Fake of fal."""

    name = "fal"
    settings_class = FalSettings
    model = "fal-ai/some-model/text-to-video"
    key = "fake-id-of-fal:fake-secret-of-fal"

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        keys_url = f"{self.base_url}/.well-known/jwks.json"
        return {"url": self.base_url, "key": self.key, "keys_url": keys_url, "user_id": _USER}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("keys", "GET", "/.well-known/jwks.json", self._keys),
            Endpoint("status", "GET", f"{_TASK_PATH}/status", self._status),
            Endpoint("result", "GET", _TASK_PATH, self._result),
            Endpoint("cancel", "PUT", f"{_TASK_PATH}/cancel", self._cancel),
            Endpoint("submit", "POST", "/{owner}/{app}", self._submit),
            Endpoint("submit", "POST", "/{owner}/{app}/{path:path}", self._submit),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Check the authorization scheme `Key`."""
        return kind in ("download", "keys") or request.headers.get("Authorization") == f"Key {self.key}"

    def new_id(self, number: int) -> str:
        """Return an id that looks like a UUID."""
        digits = hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()
        return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32]))

    def error_response(self, status: int, message: str) -> Response:
        """Return an error of fal's infrastructure; 422 is an error of the model."""
        if status == 422:
            detail = [{"loc": ["body", "prompt"], "msg": message, "type": "value_error"}]
            return JSONResponse({"detail": detail}, 422, {"X-Fal-Retryable": "false"})
        return JSONResponse({"detail": message}, status)

    def webhook_body(self, task: FakeTask) -> bytes:
        """Return the result in the envelope of fal's webhooks."""
        fields: dict[str, Any] = {"request_id": task.id, "gateway_request_id": task.id, "status": "OK"}
        status, result = self._result_of(task.stage)
        if status != 200:
            fields |= {"status": "ERROR", "error": f"Invalid status code: {status}"}
        return json.dumps({**fields, "payload": result}).encode()

    def webhook_headers(self, task: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:
        """Sign the ids, the time, and the digest of the body."""
        moment = str(int(at.timestamp()))
        content = "\n".join((task.id, _USER, moment, hashlib.sha256(body).hexdigest()))
        return {
            "X-Fal-Webhook-Request-Id": task.id,
            "X-Fal-Webhook-User-Id": _USER,
            "X-Fal-Webhook-Timestamp": moment,
            "X-Fal-Webhook-Signature": _SIGNING_KEY.sign(content.encode()).hex(),
        }

    async def _keys(self, _: Request) -> Response:
        public = _SIGNING_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(public).decode().rstrip("=")
        return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "fake"}]})

    async def _submit(self, request: Request) -> Response:
        model = request.url.path.strip("/")
        task = await self.accept(model, await request.json(), request.query_params.get("fal_webhook"))
        # From here on, URLs contain only the app, without the rest of the model's path.
        app = "/".join(model.split("/")[:2])
        task_url = f"{self.base_url}/{app}/requests/{task.id}"
        urls = {"response_url": task_url, "status_url": f"{task_url}/status", "cancel_url": f"{task_url}/cancel"}
        return JSONResponse({"request_id": task.id, "gateway_request_id": task.id, **urls, "queue_position": 0})

    async def _status(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        stage = Lost() if task is None else self.advance(task)
        if isinstance(stage, Lost):
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        fields = {"request_id": request.path_params["id"], **_to_json(stage)}
        if not request.query_params.get("logs"):
            fields.pop("logs", None)
        return JSONResponse(fields, 200 if isinstance(stage, FINAL_STAGES) else 202)

    async def _result(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return JSONResponse({"detail": "Not found"}, 404)
        status, result = self._result_of(task.stage)
        return JSONResponse(result, status)

    async def _cancel(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if task.ended_at is not None:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        await self.end_with(task, Cancelled())
        return JSONResponse({"status": "CANCELLATION_TASK_PATHED"}, 202)

    def _result_of(self, stage: Stage) -> tuple[int, Any]:
        """Return status and body of a result, those of the model where it has responded."""
        match stage:
            case Succeeded():
                return 200, self._output(stage)
            case Failed(why="content"):
                message = "The content could not be processed because it was flagged by a content checker."
                detail = {"loc": ["body", "prompt"], "msg": message, "type": "content_policy_violation"}
                return 422, {"detail": [{**detail, "url": "https://docs.fal.ai/errors#content_policy_violation"}]}
            case Failed(why="deadline"):
                return 504, {"detail": "Request timed out", "error_type": "request_timeout"}
            case Failed(message):
                return 500, {"detail": message, "error_type": "runner_server_error"}
            case Cancelled():
                return 499, {"detail": "Request was cancelled", "error_type": "client_cancelled"}
            case Expired() | Lost():
                return 404, {"detail": "Not found"}
        return 400, {"detail": "Request is still in progress"}

    def _output(self, stage: Succeeded) -> dict[str, Any]:
        files = self.output_files(stage)
        outputs = [
            {"url": url, "content_type": file.media_type, "file_name": file.name, "file_size": len(file.data)}
            for file, url in zip(files, self.output_urls(files), strict=True)
        ]
        return {"video": outputs[0], "seed": 42} if len(outputs) == 1 else {"images": outputs, "seed": 42}


def _to_json(stage: Stage) -> dict[str, Any]:
    match stage:
        case Queued():
            return {"status": "IN_QUEUE", "queue_position": 3}
        case Running(progress):
            return {"status": "IN_PROGRESS", "logs": _logs(progress)}
        case UnknownStatus(status):
            return {"status": status}
        case Failed(message, "error"):
            return {"status": "COMPLETED", "error": message, "error_type": "runner_server_error", "logs": []}
        case Cancelled():
            return {"status": "COMPLETED", "error": "Request was cancelled", "error_type": "client_cancelled"}
    return {"status": "COMPLETED", "logs": [], "metrics": {"inference_time": 4.25}}


def _logs(progress: float | None) -> list[dict[str, str]]:
    moment = "2026-11-25T12:00:00.000000"
    lines = ["Loading weights", *([f"{round(progress * 100):3d}%|####      |"] if progress is not None else [])]
    return [{"message": line, "level": "INFO", "source": "USER", "timestamp": moment} for line in lines]
