"""Fake of a server with an API like `/v1/videos`, such as vLLM-Omni or a gateway."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

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
from callsheet.providers.openai_videos import OpenAIVideosSettings

_STATUSES: Mapping[type[Stage], str] = {
    Queued: "queued",
    Running: "in_progress",
    Succeeded: "completed",
    Expired: "completed",
    Failed: "failed",
    Cancelled: "cancelled",
}


class FakeOpenAIVideos(BaseFakeProvider):
    """Fake of a `/v1/videos` server. `plain_errors`: errors are texts, not objects."""

    name = "videos"
    settings_class = OpenAIVideosSettings
    model = "wan2.2"
    key = "sk-fake-key-of-videos"
    plain_errors = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": self.base_url, "api_key": self.key}

    def request_with_file(self, file: InputFile) -> SubmitRequest:
        """Return a request with an image."""
        return self.example_request(input={"prompt": "A red fox in the snow", "input_reference": file})

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", "/v1/videos", self._create),
            Endpoint("list", "GET", "/v1/videos", self._list),
            Endpoint("status", "GET", "/v1/videos/{id}", self._get),
            Endpoint("cancel", "DELETE", "/v1/videos/{id}", self._delete),
            Endpoint("download", "GET", "/v1/videos/{id}/content", self._content),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Check the API key, also for files."""
        return super().is_authorized(request, "content" if kind == "download" else kind)

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in OpenAI's format."""
        kind = "invalid_request_error" if status < 500 else "server_error"
        return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": None}}, status)

    async def _create(self, request: Request) -> Response:
        fields = await self._read(request)
        if not fields.get("prompt"):
            return self.error_response(400, "Missing required parameter: 'prompt'.")
        if not isinstance(fields.get("seconds", "4"), str):
            return self.error_response(400, "Invalid type for 'seconds': expected a string.")
        task = await self.accept(fields.get("model", self.model), fields)
        return JSONResponse(self._to_json(task, Queued()))

    async def _read(self, request: Request) -> dict[str, Any]:
        if request.headers.get("Content-Type", "").startswith("multipart/form-data"):
            async with request.form() as form:
                return {name: value if isinstance(value, str) else value.filename for name, value in form.items()}
        fields: dict[str, Any] = await request.json()
        return fields

    async def _get(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost):
            return self.error_response(404, "Video not found.")
        return JSONResponse(self._to_json(task, stage), headers={"openai-poll-after-ms": "1500"})

    async def _list(self, request: Request) -> Response:
        limit = int(request.query_params.get("limit", 20))
        videos = [self._to_json(task, task.stage) for task in self.tasks.values() if not isinstance(task.stage, Lost)]
        if request.query_params.get("order", "desc") == "desc":
            videos.reverse()
        after = request.query_params.get("after")
        start = next((place + 1 for place, video in enumerate(videos) if video["id"] == after), 0)
        page = videos[start : start + limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return JSONResponse({"object": "list", "data": page, "has_more": len(videos) > start + limit, **ends})

    async def _delete(self, request: Request) -> Response:
        task = self.requested_task(request)
        if task is None:
            return self.error_response(404, "Video not found.")
        await self.end_with(task, Lost())
        return JSONResponse({"id": task.id, "object": "video.deleted", "deleted": True})

    async def _content(self, request: Request) -> Response:
        task = self.requested_task(request)
        if task is None or not isinstance(task.stage, Succeeded):
            return self.error_response(404, "Video content not found.")
        file = self.output_files(task.stage)[0]
        return RedirectResponse(file.url, 302) if file.url else Response(file.data, media_type=file.media_type)

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        done = isinstance(stage, Succeeded | Expired)
        progress = round((stage.progress or 0) * 100) if isinstance(stage, Running) else 100 if done else 0
        return {
            "id": task.id,
            "object": "video",
            "status": stage.status if isinstance(stage, UnknownStatus) else _STATUSES[type(stage)],
            "progress": progress,
            "model": task.model,
            "created_at": int(task.created_at.timestamp()),
            "completed_at": int(task.ended_at.timestamp()) if task.ended_at else None,
            "seconds": task.input.get("seconds", "4"),
            "size": task.input.get("size", "720x1280"),
            "error": self._error(stage) if isinstance(stage, Failed) else None,
        }

    def _error(self, stage: Failed) -> Any:
        if stage.why == "content":
            return {"code": "moderation_blocked", "message": "Your request was blocked by our moderation system."}
        return stage.message if self.plain_errors else {"code": "server_error", "message": stage.message}
