"""Fake of the API of Luma Agents, as of 2026-08: generations."""

from collections.abc import Mapping, Sequence
from typing import Any

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
from callsheet.providers.contract import InputFile, SubmitRequest
from callsheet.providers.luma import LumaSettings

_STATES: Mapping[type[Stage], str] = {
    Queued: "queued",
    Running: "processing",
    Succeeded: "completed",
    Failed: "failed",
    Cancelled: "failed",
    Expired: "failed",
}
_MODERATED = ("content_moderated", "The prompt was flagged by moderation.")


class FakeLuma(BaseFakeProvider):
    """Fake of Luma Agents."""

    name = "luma"
    settings_class = LumaSettings
    model = "ray-3.2"
    key = "luma-fake-key"

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": self.base_url, "api_key": self.key}

    def request_with_file(self, file: InputFile) -> SubmitRequest:
        """Return a request with a first frame."""
        return self.example_request(input={"prompt": "A red fox in the snow", "start_frame": file})

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", "/v1/generations", self._create),
            Endpoint("status", "GET", "/v1/generations/{id}", self._get),
        )

    async def _create(self, request: Request) -> Response:
        fields = await request.json()
        if not fields.get("model") or not fields.get("prompt"):
            return self.error_response(422, "model and prompt are required")
        task = await self.accept(fields["model"], fields, kind=fields.get("type", "image"))
        return JSONResponse(self._to_json(task, Queued()), 201)

    async def _get(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost):
            return self.error_response(404, "Generation not found")
        return JSONResponse(self._to_json(task, stage))

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        code, reason = _failure(stage)
        return {
            "id": task.id,
            "type": task.extra["kind"],
            "state": stage.status if isinstance(stage, UnknownStatus) else _STATES[type(stage)],
            "model": task.model,
            "created_at": task.created_at.isoformat(),
            "output": self._output(task, stage),
            "failure_code": code,
            "failure_reason": reason,
        }

    def _output(self, task: FakeTask, stage: Stage) -> list[dict[str, str]] | None:
        if not isinstance(stage, Succeeded):
            return None
        return [{"type": task.extra["kind"], "url": f"{url}?X-Signature=1"} for url in self.output_urls(stage.files)]


def _failure(stage: Stage) -> tuple[str | None, str | None]:
    match stage:
        case Failed(why="content"):
            return _MODERATED
        case Failed(message):
            return "generation_failed", message
        case Cancelled():
            return "generation_failed", "The generation was stopped."
        case Expired():
            return "output_not_found", "The output does not exist any more."
    return None, None
