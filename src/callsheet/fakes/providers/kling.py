"""Kling's HTTP API, as of 2026-11: videos of texts and pictures, and callbacks that nothing signs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.base import BaseFakeProvider
from callsheet.fakes.providers.fake_server import Endpoint, FakeTask
from callsheet.fakes.providers.task_script import (
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

_ACCESS_KEY = "stand-in-access-key-of-kling"
_STATUSES: Mapping[type[Stage], str] = {
    Queued: "submitted",
    Running: "processing",
    Succeeded: "succeed",
    Expired: "succeed",
    Failed: "failed",
    Cancelled: "failed",
}
_CODES = {401: 1000, 403: 1103, 404: 1203, 429: 1302}
_CENSORED = "Failure to pass the risk control system"


class FakeKling(BaseFakeProvider):
    """Kling."""

    name = "kling"
    model = "kling-v2-1"
    key = "stand-in-secret-key-of-kling-0123456789"

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        return {"kling_url": self.base_url, "kling_access_key": _ACCESS_KEY, "kling_secret_key": self.key}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("submit", "POST", "/v1/videos/{kind}", self._create),
            Endpoint("status", "GET", "/v1/videos/{kind}/{id}", self._get),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Read the token: by our secret, and of this moment."""
        if kind == "download":
            return True
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, self.key, algorithms=["HS256"], options={"require": ["iss", "exp", "nbf"]})
        except jwt.PyJWTError:
            return False
        return bool(claims["iss"] == _ACCESS_KEY)

    def error_response(self, status: int, message: str) -> Response:
        """Return an error, with the code that tells it."""
        code = _CODES.get(status, 1201 if status < 500 else 5000)
        return JSONResponse({"code": code, "message": message, "request_id": "stand-in"}, status)

    def webhook_body(self, taken: FakeTask) -> bytes:
        """Return the task, flat."""
        return json.dumps(self._shown(taken, taken.stage)).encode()

    async def _create(self, request: Request) -> Response:
        told, kind = await request.json(), request.path_params["kind"]
        if kind not in ("text2video", "image2video") or (kind == "image2video") != ("image" in told):
            return self.error_response(400, "image is invalid")
        taken = await self.accept(told["model_name"], told, told.get("callback_url"), kind=kind)
        return self._answer(taken, Queued())

    async def _get(self, request: Request) -> Response:
        taken = self.requested_task(request)
        stage = self.advance_or_lost(taken)
        if taken is None or isinstance(stage, Lost) or taken.extra["kind"] != request.path_params["kind"]:
            return self.error_response(404, "Task not found")
        return self._answer(taken, stage)

    def _answer(self, taken: FakeTask, stage: Stage) -> Response:
        data = self._shown(taken, stage)
        return JSONResponse({"code": 0, "message": "SUCCEED", "request_id": "stand-in", "data": data})

    def _shown(self, taken: FakeTask, stage: Stage) -> dict[str, Any]:
        moment = int(taken.created_at.timestamp() * 1000)
        told = {
            "task_id": taken.id,
            "task_status": stage.status if isinstance(stage, UnknownStatus) else _STATUSES.get(type(stage), "failed"),
            "task_info": {"external_task_id": taken.input.get("external_task_id", "")},
            "created_at": moment,
            "updated_at": moment,
        }
        match stage:
            case Succeeded() | Expired():
                urls = self.output_urls(stage.files) if isinstance(stage, Succeeded) else [self.missing_file_url]
                videos = [{"id": f"{at}", "url": url, "duration": "5.1"} for at, url in enumerate(urls)]
                told["task_result"] = {"videos": videos}
            case Failed(message, why):
                told["task_status_msg"] = _CENSORED if why == "content" else message
        return told
