"""RunPod's serverless API, as of 2026-08: run, status, cancel, and webhooks that nothing signs."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.base import BaseFakeProvider
from callsheet.fakes.providers.fake_server import Endpoint, FakeTask
from callsheet.fakes.providers.task_script import Ends, Expires, Fails, Runs, Says, Stage, Succeeds, Vanishes, Waits

_STATUSES: Mapping[type[Stage], str] = {
    Waits: "IN_QUEUE",
    Runs: "IN_PROGRESS",
    Succeeds: "COMPLETED",
    Ends: "CANCELLED",
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
        return {"runpod_url": f"{self.base}/v2", "runpod_api_key": self.key}

    def doors(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("submit", "POST", "/v2/{endpoint}/run", self._run),
            Endpoint("look", "GET", "/v2/{endpoint}/status/{id}", self._status),
            Endpoint("cancel", "POST", "/v2/{endpoint}/cancel/{id}", self._cancel),
        )

    def refusal(self, status: int, message: str) -> Response:
        """Return an error."""
        return JSONResponse({"error": message}, status)

    def message(self, taken: FakeTask) -> bytes:
        """Return the task with its input and its webhook's own address, as RunPod does."""
        echoed = {"input": taken.input, "webhook": taken.webhook}
        return json.dumps({**self._shown(taken, taken.stage), **echoed}).encode()

    async def _run(self, request: Request) -> Response:
        told = await request.json()
        if not isinstance(told.get("input"), dict):
            return self.refusal(400, "input is required")
        if len(await request.body()) > _MOST_BYTES:
            return self.refusal(413, "payload too large")
        endpoint = request.path_params["endpoint"]
        taken = await self.take(endpoint, told["input"], told.get("webhook"), policy=told.get("policy"))
        return JSONResponse({"id": taken.id, "status": "IN_QUEUE"})

    async def _status(self, request: Request) -> Response:
        taken = self.wanted(request)
        stage = self.stage_of(taken)
        if taken is None or isinstance(stage, Vanishes | Expires):
            return self.refusal(404, "job not found")
        return JSONResponse(self._shown(taken, stage))

    async def _cancel(self, request: Request) -> Response:
        taken = self.wanted(request)
        if taken is None:
            return self.refusal(404, "job not found")
        if taken.ended is None:
            await self.stop(taken, Ends())
        return JSONResponse({"id": taken.id, "status": _STATUSES.get(type(taken.stage), "FAILED")})

    def _shown(self, taken: FakeTask, stage: Stage) -> dict[str, Any]:
        told: dict[str, Any] = {"id": taken.id, "delayTime": 1250}
        match stage:
            case Says(status):
                return {**told, "status": status}
            case Succeeds():
                told |= {"executionTime": 4250, "output": self._output(stage)}
            case Fails(why="content"):
                # A handler's own way to fail: the task itself is done.
                return {**told, "status": "COMPLETED", "output": {"error": "NSFW content detected"}}
            case Fails(why="deadline"):
                return {**told, "status": "TIMED_OUT", "error": "job timed out"}
            case Fails(message):
                error = {"error_type": "<class 'RuntimeError'>", "error_message": message, "error_traceback": "…"}
                return {**told, "status": "FAILED", "error": json.dumps(error)}
        return {**told, "status": _STATUSES.get(type(stage), "FAILED")}

    def _output(self, stage: Succeeds) -> dict[str, Any]:
        files = self.files_of(stage)
        if self.inline:
            return {"videos": [{"type": "base64", "data": base64.b64encode(file.data).decode()} for file in files]}
        return {"videos": self.urls(files), "seed": 42}
