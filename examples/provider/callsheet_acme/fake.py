"""Fake of Acme's API."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.base import BaseFakeProvider
from callsheet.fakes.providers.fake_server import Endpoint
from callsheet.fakes.providers.task_script import (
    Cancelled,
    Expired,
    Failed,
    Lost,
    Running,
    Stage,
    Succeeded,
    UnknownStatus,
)
from callsheet_acme.provider import AcmeSettings

_MODERATION_MESSAGE = "The prompt was refused by content moderation."


class FakeAcme(BaseFakeProvider):
    """Fake of Acme."""

    name = "acme"
    settings_class = AcmeSettings
    model = "clip-1"
    key = "acme-fake-api-key"

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": self.base_url, "api_key": self.key}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", "/v1/tasks", self._create),
            Endpoint("status", "GET", "/v1/tasks/{id}", self._get),
            Endpoint("cancel", "POST", "/v1/tasks/{id}/cancel", self._cancel),
        )

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        task = await self.accept(body["model"], body["input"])
        return JSONResponse({"id": task.id, "status": "queued"}, 201)

    async def _get(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost):
            return self.error_response(404, "Task not found")
        return JSONResponse({"id": task.id, **self._fields(stage)})

    async def _cancel(self, request: Request) -> Response:
        task = self.requested_task(request)
        if task is None:
            return self.error_response(404, "Task not found")
        if task.ended_at is not None:
            return self.error_response(409, "The task has ended")
        await self.end_with(task, Cancelled())
        return JSONResponse({"id": task.id, "status": "cancelled"})

    def _fields(self, stage: Stage) -> dict[str, Any]:
        match stage:
            case UnknownStatus(status):
                return {"status": status}
            case Running(progress):
                return {"status": "running", "progress": progress}
            case Succeeded(files):
                return {"status": "done", "files": self.output_urls(files)}
            case Expired():
                return {"status": "done", "files": [self.missing_file_url]}
            case Failed(message, why):
                return {"status": "failed", "error": _MODERATION_MESSAGE if why == "content" else message}
        return {"status": "cancelled" if isinstance(stage, Cancelled) else "queued"}
