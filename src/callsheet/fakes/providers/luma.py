"""Luma Agents' HTTP API, as of 2026-08: generations."""

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

_STATES: Mapping[type[Stage], str] = {
    Queued: "queued",
    Running: "processing",
    Succeeded: "completed",
    Failed: "failed",
    Cancelled: "failed",
    Expired: "failed",
}
_CENSORED = ("content_moderated", "The prompt was flagged by moderation.")


class FakeLuma(BaseFakeProvider):
    """Luma Agents."""

    name = "luma"
    model = "ray-3.2"
    key = "luma-stand-in-key"

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        return {"luma_url": self.base_url, "luma_api_key": self.key}

    def request_with_file(self, file: InputFile) -> SubmitRequest:
        """Return an order that holds a first frame."""
        return self.example_request(input={"prompt": "A red fox in the snow", "start_frame": file})

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("submit", "POST", "/v1/generations", self._create),
            Endpoint("status", "GET", "/v1/generations/{id}", self._get),
        )

    async def _create(self, request: Request) -> Response:
        told = await request.json()
        if not told.get("model") or not told.get("prompt"):
            return self.error_response(422, "model and prompt are required")
        taken = await self.accept(told["model"], told, kind=told.get("type", "image"))
        return JSONResponse(self._shown(taken, Queued()), 201)

    async def _get(self, request: Request) -> Response:
        taken = self.requested_task(request)
        stage = self.advance_or_lost(taken)
        if taken is None or isinstance(stage, Lost):
            return self.error_response(404, "Generation not found")
        return JSONResponse(self._shown(taken, stage))

    def _shown(self, taken: FakeTask, stage: Stage) -> dict[str, Any]:
        code, reason = _failure(stage)
        return {
            "id": taken.id,
            "type": taken.extra["kind"],
            "state": stage.status if isinstance(stage, UnknownStatus) else _STATES[type(stage)],
            "model": taken.model,
            "created_at": taken.created_at.isoformat(),
            "output": self._output(taken, stage),
            "failure_code": code,
            "failure_reason": reason,
        }

    def _output(self, taken: FakeTask, stage: Stage) -> list[dict[str, str]] | None:
        if not isinstance(stage, Succeeded):
            return None
        return [{"type": taken.extra["kind"], "url": f"{url}?X-Signature=1"} for url in self.output_urls(stage.files)]


def _failure(stage: Stage) -> tuple[str | None, str | None]:
    match stage:
        case Failed(why="content"):
            return _CENSORED
        case Failed(message):
            return "generation_failed", message
        case Cancelled():
            return "generation_failed", "The generation was stopped."
        case Expired():
            return "output_not_found", "The output does not exist any more."
    return None, None
