"""RunPod's serverless API, as of 2026-08: run, status, cancel, and webhooks that nothing signs."""

import base64
import json
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

_STATUSES: Mapping[type[Stage], str] = {
    Queued: "IN_QUEUE",
    Running: "IN_PROGRESS",
    Succeeded: "COMPLETED",
    Cancelled: "CANCELLED",
}
_MOST_BYTES = 10_000_000


class FakeRunPod(BaseFakeProvider):
    """RunPod. `inline`: its handler gives files in base64, not by address."""

    name = "runpod"
    model = "abc123def456gh"
    key = "rpa_STANDINKEYOFRUNPOD"
    inline = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        return {"runpod_url": f"{self.base_url}/v2", "runpod_api_key": self.key}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("submit", "POST", "/v2/{endpoint}/run", self._run),
            Endpoint("status", "GET", "/v2/{endpoint}/status/{id}", self._status),
            Endpoint("cancel", "POST", "/v2/{endpoint}/cancel/{id}", self._cancel),
        )

    def error_response(self, status: int, message: str) -> Response:
        """Return an error."""
        return JSONResponse({"error": message}, status)

    def webhook_body(self, taken: FakeTask) -> bytes:
        """Return the task with its input and its webhook's own address, as RunPod does."""
        echoed = {"input": taken.input, "webhook": taken.webhook}
        return json.dumps({**self._shown(taken, taken.stage), **echoed}).encode()

    async def _run(self, request: Request) -> Response:
        told = await request.json()
        if not isinstance(told.get("input"), dict):
            return self.error_response(400, "input is required")
        if len(await request.body()) > _MOST_BYTES:
            return self.error_response(413, "payload too large")
        endpoint = request.path_params["endpoint"]
        taken = await self.accept(endpoint, told["input"], told.get("webhook"), policy=told.get("policy"))
        return JSONResponse({"id": taken.id, "status": "IN_QUEUE"})

    async def _status(self, request: Request) -> Response:
        taken = self.requested_task(request)
        stage = self.advance_or_lost(taken)
        if taken is None or isinstance(stage, Lost | Expired):
            return self.error_response(404, "job not found")
        return JSONResponse(self._shown(taken, stage))

    async def _cancel(self, request: Request) -> Response:
        taken = self.requested_task(request)
        if taken is None:
            return self.error_response(404, "job not found")
        if taken.ended_at is None:
            await self.end_with(taken, Cancelled())
        return JSONResponse({"id": taken.id, "status": _STATUSES.get(type(taken.stage), "FAILED")})

    def _shown(self, taken: FakeTask, stage: Stage) -> dict[str, Any]:
        told: dict[str, Any] = {"id": taken.id, "delayTime": 1250}
        match stage:
            case UnknownStatus(status):
                return {**told, "status": status}
            case Succeeded():
                told |= {"executionTime": 4250, "output": self._output(stage)}
            case Failed(why="content"):
                # A handler's own way to fail: the task itself is done.
                return {**told, "status": "COMPLETED", "output": {"error": "NSFW content detected"}}
            case Failed(why="deadline"):
                return {**told, "status": "TIMED_OUT", "error": "job timed out"}
            case Failed(message):
                error = {"error_type": "<class 'RuntimeError'>", "error_message": message, "error_traceback": "…"}
                return {**told, "status": "FAILED", "error": json.dumps(error)}
        return {**told, "status": _STATUSES.get(type(stage), "FAILED")}

    def _output(self, stage: Succeeded) -> dict[str, Any]:
        files = self.output_files(stage)
        if self.inline:
            return {"videos": [{"type": "base64", "data": base64.b64encode(file.data).decode()} for file in files]}
        return {"videos": self.output_urls(files), "seed": 42}
