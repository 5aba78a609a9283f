"""Fake of Kling's API, as of 2026-11: videos from text and images, unsigned callbacks."""

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
from callsheet.providers.kling import KlingSettings

_ACCESS_KEY = "fake-access-key-of-kling"
_STATUSES: Mapping[type[Stage], str] = {
    Queued: "submitted",
    Running: "processing",
    Succeeded: "succeed",
    Expired: "succeed",
    Failed: "failed",
    Cancelled: "failed",
}
_CODES = {401: 1000, 403: 1103, 404: 1203, 429: 1302}
_MODERATION_MESSAGE = "Failure to pass the risk control system"


class FakeKling(BaseFakeProvider):
    """Fake of Kling."""

    name = "kling"
    settings_class = KlingSettings
    model = "kling-v2-1"
    key = "fake-secret-key-of-kling-0123456789"

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": self.base_url, "access_key": _ACCESS_KEY, "secret_key": self.key}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", "/v1/videos/{kind}", self._create),
            Endpoint("status", "GET", "/v1/videos/{kind}/{id}", self._get),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Check signature and times of the token."""
        if kind == "download":
            return True
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, self.key, algorithms=["HS256"], options={"require": ["iss", "exp", "nbf"]})
        except jwt.PyJWTError:
            return False
        return bool(claims["iss"] == _ACCESS_KEY)

    def error_response(self, status: int, message: str) -> Response:
        """Return an error with the code of its status."""
        code = _CODES.get(status, 1201 if status < 500 else 5000)
        return JSONResponse({"code": code, "message": message, "request_id": "fake"}, status)

    def webhook_body(self, task: FakeTask) -> bytes:
        """Return the task, without the envelope of a response."""
        return json.dumps(self._to_json(task, task.stage)).encode()

    async def _create(self, request: Request) -> Response:
        fields, kind = await request.json(), request.path_params["kind"]
        if kind not in ("text2video", "image2video") or (kind == "image2video") != ("image" in fields):
            return self.error_response(400, "image is invalid")
        task = await self.accept(fields["model_name"], fields, fields.get("callback_url"), kind=kind)
        return self._response(task, Queued())

    async def _get(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost) or task.extra["kind"] != request.path_params["kind"]:
            return self.error_response(404, "Task not found")
        return self._response(task, stage)

    def _response(self, task: FakeTask, stage: Stage) -> Response:
        data = self._to_json(task, stage)
        return JSONResponse({"code": 0, "message": "SUCCEED", "request_id": "fake", "data": data})

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        moment = int(task.created_at.timestamp() * 1000)
        fields = {
            "task_id": task.id,
            "task_status": stage.status if isinstance(stage, UnknownStatus) else _STATUSES.get(type(stage), "failed"),
            "task_info": {"external_task_id": task.input.get("external_task_id", "")},
            "created_at": moment,
            "updated_at": moment,
        }
        match stage:
            case Succeeded() | Expired():
                urls = self.output_urls(stage.files) if isinstance(stage, Succeeded) else [self.missing_file_url]
                videos = [{"id": f"{index}", "url": url, "duration": "5.1"} for index, url in enumerate(urls)]
                fields["task_result"] = {"videos": videos}
            case Failed(message, why):
                fields["task_status_msg"] = _MODERATION_MESSAGE if why == "content" else message
        return fields
