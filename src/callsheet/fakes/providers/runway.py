"""Runway's HTTP API, version 2024-11-06: tasks."""

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
    """Runway."""

    name = "runway"
    model = "gen4_turbo"
    key = "key_stand_in_of_runway"

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        return {"runway_url": self.base_url, "runway_api_key": self.key}

    def example_request(self, **changes: Any) -> SubmitRequest:
        """Return an order that it takes."""
        return super().example_request(
            **{"input": {"promptText": "A red fox in the snow", "ratio": "1280:720"}, **changes}
        )

    def request_with_file(self, file: InputFile) -> SubmitRequest:
        """Return an order that holds a picture."""
        return self.example_request(input={**super().example_request().input, "ratio": "1280:720", "promptImage": file})

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        self._looks = itertools.count(1)
        return (
            Endpoint("submit", "POST", "/v1/text_to_video", self._create),
            Endpoint("submit", "POST", "/v1/image_to_video", self._create),
            Endpoint("status", "GET", "/v1/tasks/{id}", self._get),
            Endpoint("cancel", "DELETE", "/v1/tasks/{id}", self._delete),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Look for the version as well."""
        versioned = kind == "download" or request.headers.get("X-Runway-Version") == _VERSION
        return versioned and super().is_authorized(request, kind)

    def new_id(self, number: int) -> str:
        """Return an id of the look of a UUID."""
        digits = hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()
        return "-".join((digits[:8], digits[8:12], f"4{digits[13:16]}", f"a{digits[17:20]}", digits[20:32]))

    def error_response(self, status: int, message: str) -> Response:
        """Return an error."""
        return JSONResponse({"error": message}, status)

    async def _create(self, request: Request) -> Response:
        told = await request.json()
        pictured = request.url.path.endswith("image_to_video")
        if pictured != ("promptImage" in told) or not told.get("ratio"):
            return self.error_response(400, "Validation of body failed")
        taken = await self.accept(told["model"], told)
        return JSONResponse({"id": taken.id, "estimatedCost": 25})

    async def _get(self, request: Request) -> Response:
        taken = self.requested_task(request)
        stage = self.advance_or_lost(taken)
        if taken is None or isinstance(stage, Lost):
            return self.error_response(404, "Task not found")
        return JSONResponse(self._shown(taken, stage))

    async def _delete(self, request: Request) -> Response:
        taken = self.requested_task(request)
        if taken is None:
            return self.error_response(404, "Task not found")
        await self.end_with(taken, Lost())
        return Response(status_code=204)

    def _shown(self, taken: FakeTask, stage: Stage) -> dict[str, Any]:
        told: dict[str, Any] = {"id": taken.id, "createdAt": taken.created_at.isoformat()}
        match stage:
            case UnknownStatus(status):
                return {**told, "status": status}
            case Running(progress):
                told |= {} if progress is None else {"progress": progress}
            case Succeeded(files):
                # Each look has addresses of its own, which expire.
                told["output"] = [f"{url}?_jwt={next(self._looks)}" for url in self.output_urls(files)]
            case Expired():
                told["output"] = [self.missing_file_url]
            case Failed(why="content"):
                told |= {"failure": "The content did not pass our checks.", "failureCode": "SAFETY.INPUT.TEXT"}
            case Failed(message):
                told |= {"failure": message, "failureCode": "INTERNAL"}
        return {**told, "status": _STATUSES[type(stage)]}
