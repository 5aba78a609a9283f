"""Fake of Replicate's API, as of 2026-11: predictions, webhooks signed by Standard Webhooks."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.fake_server import Endpoint, FakeServer, FakeTask
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
from callsheet.providers.replicate import ReplicateSettings

_SECRET = b"callsheet-fake-secret"
_PAGE = 100
_STATUSES: Mapping[type[Stage], str] = {
    Queued: "starting",
    Running: "processing",
    Succeeded: "succeeded",
    Expired: "succeeded",
    Cancelled: "canceled",
}
_REASONS = {"content": "NSFW content detected. Try running it again, or try a different prompt."}


class FakeReplicate(FakeServer):
    """Fake of Replicate."""

    name = "replicate"
    settings_class = ReplicateSettings
    model = "bytedance/seedance-1-pro"
    key = "r8_fake_key_of_replicate"
    secret = "whsec_" + base64.b64encode(_SECRET).decode()

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"url": self.base_url, "api_token": self.key}

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", "/v1/predictions", self._create),
            Endpoint("submit", "POST", "/v1/models/{owner}/{name}/predictions", self._create),
            Endpoint("submit", "POST", "/v1/deployments/{owner}/{name}/predictions", self._create),
            Endpoint("account", "GET", "/v1/account", self._account),
            Endpoint("list", "GET", "/v1/predictions", self._list),
            Endpoint("status", "GET", "/v1/predictions/{id}", self._get),
            Endpoint("cancel", "POST", "/v1/predictions/{id}/cancel", self._cancel),
            Endpoint("secret", "GET", "/v1/webhooks/default/secret", self._give_secret),
        )

    def error_response(self, status: int, message: str) -> Response:
        """Return a problem document; a rate limit error is shorter."""
        if status == 429:
            return JSONResponse({"detail": message, "status": 429}, 429)
        return JSONResponse({"title": message, "detail": message, "status": status}, status)

    def new_id(self, number: int) -> str:
        """Return an id of 26 letters and digits, as Replicate does."""
        return "sb" + hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()[:24]

    def webhook_body(self, task: FakeTask) -> bytes:
        """Return the prediction."""
        return json.dumps(self._to_json(task, task.stage)).encode()

    def webhook_headers(self, task: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:
        """Sign with Standard Webhooks."""
        message_id, timestamp = f"msg_{task.id}", str(int(at.timestamp()))
        content = b".".join((message_id.encode(), timestamp.encode(), body))
        signature = base64.b64encode(hmac.digest(_SECRET, content, "sha256")).decode()
        return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}

    async def _create(self, request: Request) -> Response:
        fields = await request.json()
        if not isinstance(fields.get("input"), dict):
            return self.error_response(422, "- input: Invalid type. Expected: object")
        model = "/".join(filter(None, (request.path_params.get("owner"), request.path_params.get("name"))))
        version = fields.get("version")
        if not model and not version:
            return self.error_response(422, "- version is required")
        deployment = model if "/deployments/" in request.url.path else None
        task = await self.accept(
            model or str(version), fields["input"], fields.get("webhook"), version=version, deployment=deployment
        )
        return JSONResponse(self._to_json(task, Queued()), 201)

    async def _get(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return self.error_response(404, "Not found.")
        stage = self.advance(task)
        return (
            self.error_response(404, "Not found.")
            if isinstance(stage, Lost)
            else JSONResponse(self._to_json(task, stage))
        )

    async def _list(self, request: Request) -> Response:
        start = int(request.query_params.get("cursor") or 0)
        after = request.query_params.get("created_after")
        found = [
            task for task in reversed(self.tasks.values()) if after is None or _time(task.created_at) >= _read(after)
        ]
        more = f"{self.base_url}/v1/predictions?cursor={start + _PAGE}" if len(found) > start + _PAGE else None
        if more and after:
            more += f"&created_after={after.replace('+', '%2B')}"
        page = [self._to_json(task, task.stage) for task in found[start : start + _PAGE]]
        return JSONResponse({"previous": None, "next": more, "results": page})

    async def _cancel(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return self.error_response(404, "Not found.")
        if task.ended_at is None:
            await self.end_with(task, Cancelled())
        return JSONResponse(self._to_json(task, task.stage))

    async def _account(self, _: Request) -> Response:
        return JSONResponse({"type": "organization", "username": "fake", "name": "Fake", "github_url": None})

    async def _give_secret(self, _: Request) -> Response:
        return JSONResponse({"key": self.secret})

    def _to_json(self, task: FakeTask, stage: Stage) -> dict[str, Any]:
        expired = isinstance(stage, Expired)
        task_url = f"{self.base_url}/v1/predictions/{task.id}"
        return {
            "id": task.id,
            "model": task.model.split(":", 1)[0],
            "version": task.extra["version"] or "hidden",
            "status": _status(stage),
            "input": {} if expired else task.input,
            "output": self._output(stage),
            "error": _reason(stage),
            "logs": "" if expired else _logs(stage),
            "metrics": {"predict_time": 4.25, "total_time": 5.5} if isinstance(stage, Succeeded) else {},
            "created_at": _time(task.created_at),
            "completed_at": _time(task.ended_at) if task.ended_at else None,
            "data_removed": expired,
            "urls": {"get": task_url, "cancel": f"{task_url}/cancel", "web": f"https://replicate.com/p/{task.id}"},
            **({"deployment": task.extra["deployment"]} if task.extra.get("deployment") else {}),
        }

    def _output(self, stage: Stage) -> Any:
        if not isinstance(stage, Succeeded):
            return None
        urls = self.output_urls(self.output_files(stage))
        return urls[0] if len(urls) == 1 else urls


def _status(stage: Stage) -> str:
    if isinstance(stage, UnknownStatus):
        return stage.status
    if isinstance(stage, Failed):
        return "aborted" if stage.why == "deadline" else "failed"
    return _STATUSES[type(stage)]


def _reason(stage: Stage) -> str | None:
    return _REASONS.get(stage.why, stage.message) if isinstance(stage, Failed) else None


def _logs(stage: Stage) -> str:
    if not isinstance(stage, Running) or stage.progress is None:
        return "Using seed: 1234\n"
    done = round(stage.progress * 50)
    return (
        f"Using seed: 1234\n  0%|          | 0/50 [00:00<?, ?it/s]\n{done * 2:3d}%|#####     | {done}/50 [00:02<00:02]"
    )


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read(text: str) -> str:
    return _time(datetime.fromisoformat(text.replace("Z", "+00:00")))
