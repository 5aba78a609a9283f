"""Fake of Runway's API, version 2024-11-06: tasks."""

import hashlib
import itertools
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
from callsheet.providers.runway import RunwaySettings

_VERSION = "2024-11-06"
_STATUSES: Mapping[type[Stage], str] = {
    Queued: "PENDING",
    Running: "RUNNING",
    Succeeded: "SUCCEEDED",
    Expired: "SUCCEEDED",
    Failed: "FAILED",
    Cancelled: "CANCELLED",
}


class FakeRunway(BaseFakeProvider):
    """Fake of Runway."""

    name = "runway"
    settings_class = RunwaySettings
    model = "gen4_turbo"
    key = "key_fake_of_runway"

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": self.base_url, "api_key": self.key}

    def example_request(self, **changes: Any) -> SubmitRequest:
        """Return a request that the fake accepts."""
        return super().example_request(
            **{"input": {"promptText": "A red fox in the snow", "ratio": "1280:720"}, **changes}
        )

    def request_with_file(self, file: InputFile) -> SubmitRequest:
        """Return a request with an image."""
        return self.example_request(input={**super().example_request().input, "ratio": "1280:720", "promptImage": file})

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        self._polls = itertools.count(1)
        return (
            Endpoint("submit", "POST", "/v1/text_to_video", self._create),
            Endpoint("submit", "POST", "/v1/image_to_video", self._create),
            Endpoint("status", "GET", "/v1/tasks/{id}", self._get),
            Endpoint("cancel", "DELETE", "/v1/tasks/{id}", self._delete),
            Endpoint("organization", "GET", "/v1/organization", self._organization),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Check the API key and the API version."""
        versioned = kind == "download" or request.headers.get("X-Runway-Version") == _VERSION
        return versioned and super().is_authorized(request, kind)

    def new_id(self, number: int) -> str:
        """Return an id that looks like a UUID."""
        digits = hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()
        return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32]))

    def error_response(self, status: int, message: str) -> Response:
        """Return an error."""
        return JSONResponse({"error": message}, status)

    async def _create(self, request: Request) -> Response:
        fields = await request.json()
        has_image = request.url.path.endswith("image_to_video")
        if has_image != ("promptImage" in fields) or not fields.get("ratio"):
            return self.error_response(400, "Validation of body failed")
        task = await self.accept(fields["model"], fields)
        return JSONResponse({"id": task.id, "estimatedCost": 25})

    async def _get(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost):
            return self.error_response(404, "Task not found")
        return JSONResponse(self._to_json(task, stage))

    async def _delete(self, request: Request) -> Response:
        task = self.requested_task(request)
        if task is None:
            return self.error_response(404, "Task not found")
        await self.end_with(task, Lost())
        return Response(status_code=204)

    async def _organization(self, _: Request) -> Response:
        return JSONResponse({"creditBalance": 4200, "tier": {"maxMonthlyCreditSpend": 10_000}, "usage": {"models": {}}})

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": task.id, "createdAt": task.created_at.isoformat()}
        match stage:
            case UnknownStatus(status):
                return {**fields, "status": status}
            case Running(progress):
                fields |= {} if progress is None else {"progress": progress}
            case Succeeded(files):
                # Every response contains new URLs, which expire.
                fields["output"] = [f"{url}?_jwt={next(self._polls)}" for url in self.output_urls(files)]
            case Expired():
                fields["output"] = [self.missing_file_url]
            case Failed(why="content"):
                fields |= {"failure": "The content did not pass our checks.", "failureCode": "SAFETY.INPUT.TEXT"}
            case Failed(message):
                fields |= {"failure": message, "failureCode": "INTERNAL"}
        return {**fields, "status": _STATUSES[type(stage)]}
