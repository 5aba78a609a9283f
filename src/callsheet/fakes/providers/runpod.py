"""Fake of RunPod's serverless API, as of 2026-08: run, status, cancel, unsigned webhooks."""

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
from callsheet.providers.runpod import RunPodSettings

_STATUSES: Mapping[type[Stage], str] = {
    Queued: "IN_QUEUE",
    Running: "IN_PROGRESS",
    Succeeded: "COMPLETED",
    Cancelled: "CANCELLED",
}
_MAX_BYTES = 10_000_000


class FakeRunPod(BaseFakeProvider):
    """Fake of RunPod. `inline`: its handler returns files in base64, not as URLs."""

    name = "runpod"
    settings_class = RunPodSettings
    model = "abc123def456gh"
    key = "rpa_FAKEKEYOFRUNPOD"
    inline = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": f"{self.base_url}/v2", "api_key": self.key}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", "/v2/{endpoint}/run", self._run),
            Endpoint("status", "GET", "/v2/{endpoint}/status/{id}", self._status),
            Endpoint("health", "GET", "/v2/{endpoint}/health", self._health),
            Endpoint("cancel", "POST", "/v2/{endpoint}/cancel/{id}", self._cancel),
        )

    def error_response(self, status: int, message: str) -> Response:
        """Return an error."""
        return JSONResponse({"error": message}, status)

    def webhook_body(self, task: FakeTask) -> bytes:
        """Return the task with its input and its webhook URL, as RunPod does."""
        repeated = {"input": task.input, "webhook": task.webhook}
        return json.dumps({**self._to_json(task, task.stage), **repeated}).encode()

    async def _run(self, request: Request) -> Response:
        fields = await request.json()
        if not isinstance(fields.get("input"), dict):
            return self.error_response(400, "input is required")
        if len(await request.body()) > _MAX_BYTES:
            return self.error_response(413, "payload too large")
        endpoint = request.path_params["endpoint"]
        task = await self.accept(endpoint, fields["input"], fields.get("webhook"), policy=fields.get("policy"))
        return JSONResponse({"id": task.id, "status": "IN_QUEUE"})

    async def _status(self, request: Request) -> Response:
        task = self.requested_task(request)
        stage = self.advance_or_lost(task)
        if task is None or isinstance(stage, Lost | Expired):
            return self.error_response(404, "job not found")
        return JSONResponse(self._to_json(task, stage))

    async def _health(self, request: Request) -> Response:
        if request.path_params["endpoint"] != self.model:
            return self.error_response(404, "endpoint not found")
        return JSONResponse({"jobs": {"inQueue": 0, "inProgress": 0}, "workers": {"idle": 1, "running": 0}})

    async def _cancel(self, request: Request) -> Response:
        task = self.requested_task(request)
        if task is None:
            return self.error_response(404, "job not found")
        if task.ended_at is None:
            await self.end_with(task, Cancelled())
        return JSONResponse({"id": task.id, "status": _STATUSES.get(type(task.stage), "FAILED")})

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": task.id, "delayTime": 1250}
        match stage:
            case UnknownStatus(status):
                return {**fields, "status": status}
            case Succeeded():
                fields |= {"executionTime": 4250, "output": self._output(stage)}
            case Failed(why="content"):
                # The handler reports the failure; the task itself is completed.
                return {**fields, "status": "COMPLETED", "output": {"error": "NSFW content detected"}}
            case Failed(why="deadline"):
                return {**fields, "status": "TIMED_OUT", "error": "job timed out"}
            case Failed(message):
                error = {"error_type": "<class 'RuntimeError'>", "error_message": message, "error_traceback": "…"}
                return {**fields, "status": "FAILED", "error": json.dumps(error)}
        return {**fields, "status": _STATUSES.get(type(stage), "FAILED")}

    def _output(self, stage: Succeeded) -> dict[str, Any]:
        files = self.output_files(stage)
        if self.inline:
            return {"videos": [{"type": "base64", "data": base64.b64encode(file.data).decode()} for file in files]}
        return {"videos": self.output_urls(files), "seed": 42}
