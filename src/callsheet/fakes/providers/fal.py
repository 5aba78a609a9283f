"""fal's queue, as of 2026-11: submit, status, result, cancel, and webhooks signed by Ed25519."""

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

_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
_USER = "callsheet-stand-in-user"
_REQUEST = "/{owner}/{app}/requests/{id}"


class FakeFal(FakeServer):
    """fal."""

    name = "fal"
    model = "fal-ai/some-model/text-to-video"
    key = "stand-in-id-of-fal:stand-in-secret-of-fal"

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        keys_url = f"{self.base_url}/.well-known/jwks.json"
        return {"fal_url": self.base_url, "fal_key": self.key, "fal_keys_url": keys_url, "fal_user_id": _USER}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("keys", "GET", "/.well-known/jwks.json", self._keys),
            Endpoint("status", "GET", f"{_REQUEST}/status", self._status),
            Endpoint("result", "GET", _REQUEST, self._result),
            Endpoint("cancel", "PUT", f"{_REQUEST}/cancel", self._cancel),
            Endpoint("submit", "POST", "/{owner}/{app}", self._submit),
            Endpoint("submit", "POST", "/{owner}/{app}/{path:path}", self._submit),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Look for its own kind of authorization."""
        return kind in ("download", "keys") or request.headers.get("Authorization") == f"Key {self.key}"

    def new_id(self, number: int) -> str:
        """Return an id of the look of a UUID."""
        digits = hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()
        return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32]))

    def error_response(self, status: int, message: str) -> Response:
        """Return an error of fal's machines; 422 is the model's own."""
        if status == 422:
            detail = [{"loc": ["body", "prompt"], "msg": message, "type": "value_error"}]
            return JSONResponse({"detail": detail}, 422, {"X-Fal-Retryable": "false"})
        return JSONResponse({"detail": message}, status)

    def webhook_body(self, taken: FakeTask) -> bytes:
        """Return the result, as fal wraps it."""
        told: dict[str, Any] = {"request_id": taken.id, "gateway_request_id": taken.id, "status": "OK"}
        status, result = self._of(taken.stage)
        if status != 200:
            told |= {"status": "ERROR", "error": f"Invalid status code: {status}"}
        return json.dumps({**told, "payload": result}).encode()

    def webhook_headers(self, taken: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:
        """Sign the ids, the time, and the body's digest."""
        moment = str(int(at.timestamp()))
        content = "\n".join((taken.id, _USER, moment, hashlib.sha256(body).hexdigest()))
        return {
            "X-Fal-Webhook-Request-Id": taken.id,
            "X-Fal-Webhook-User-Id": _USER,
            "X-Fal-Webhook-Timestamp": moment,
            "X-Fal-Webhook-Signature": _PRIVATE.sign(content.encode()).hex(),
        }

    async def _keys(self, _: Request) -> Response:
        public = _PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(public).decode().rstrip("=")
        return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "stand-in"}]})

    async def _submit(self, request: Request) -> Response:
        model = request.url.path.strip("/")
        taken = await self.accept(model, await request.json(), request.query_params.get("fal_webhook"))
        # The app alone is named from here on, without the rest of the model's path.
        app = "/".join(model.split("/")[:2])
        place = f"{self.base_url}/{app}/requests/{taken.id}"
        urls = {"response_url": place, "status_url": f"{place}/status", "cancel_url": f"{place}/cancel"}
        return JSONResponse({"request_id": taken.id, "gateway_request_id": taken.id, **urls, "queue_position": 0})

    async def _status(self, request: Request) -> Response:
        taken = self.tasks.get(request.path_params["id"])
        stage = Lost() if taken is None else self.advance(taken)
        if isinstance(stage, Lost):
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        told = {"request_id": request.path_params["id"], **_shown(stage)}
        if not request.query_params.get("logs"):
            told.pop("logs", None)
        return JSONResponse(told, 200 if isinstance(stage, FINAL_STAGES) else 202)

    async def _result(self, request: Request) -> Response:
        taken = self.tasks.get(request.path_params["id"])
        if taken is None:
            return JSONResponse({"detail": "Not found"}, 404)
        status, result = self._of(taken.stage)
        return JSONResponse(result, status)

    async def _cancel(self, request: Request) -> Response:
        taken = self.tasks.get(request.path_params["id"])
        if taken is None:
            return JSONResponse({"status": "NOT_FOUND"}, 404)
        if taken.ended_at is not None:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        await self.end_with(taken, Cancelled())
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    def _of(self, stage: Stage) -> tuple[int, Any]:
        """Return status and body of a result: the model's own, where it has answered."""
        match stage:
            case Succeeded():
                return 200, self._made(stage)
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

    def _made(self, stage: Succeeded) -> dict[str, Any]:
        files = self.output_files(stage)
        shown = [
            {"url": url, "content_type": file.media_type, "file_name": file.name, "file_size": len(file.data)}
            for file, url in zip(files, self.output_urls(files), strict=True)
        ]
        return {"video": shown[0], "seed": 42} if len(shown) == 1 else {"images": shown, "seed": 42}


def _shown(stage: Stage) -> dict[str, Any]:
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
