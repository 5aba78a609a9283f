"""Fake of Veo on Vertex AI, as of 2026-11: long-running predictions, and videos in Cloud Storage."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.fake_server import Endpoint, FakeServer
from callsheet.fakes.providers.task_script import Cancelled, Expired, Failed, Lost, Stage, Succeeded
from callsheet.providers.vertex import VertexSettings

_PROJECT = "callsheet-fake"
_LOCATION = "us-central1"
_PUBLISHER = f"projects/{_PROJECT}/locations/{_LOCATION}/publishers/google/models"
_BUCKET = "callsheet-fake"
_BLOCKED = "The video was blocked, since it may violate our usage guidelines. Support codes: 15236754"


class FakeVertex(FakeServer):
    """Fake of Vertex AI. Videos are stored in its bucket where a request says so, else they are inline."""

    name = "vertex"
    settings_class = VertexSettings
    model = "veo-3.1-generate-001"
    key = "ya29.fake-token-of-vertex"

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {
            "url": self.base_url,
            "project": _PROJECT,
            "location": _LOCATION,
            "token": self.key,
            "storage": f"gs://{_BUCKET}/videos",
            "storage_url": self.base_url,
        }

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        return (
            Endpoint("submit", "POST", f"/v1beta1/{_PUBLISHER}/{{model}}:predictLongRunning", self._predict),
            Endpoint("status", "POST", f"/v1beta1/{_PUBLISHER}/{{model}}:fetchPredictOperation", self._fetch),
            Endpoint("download", "GET", f"/storage/v1/b/{_BUCKET}/o/videos/{{number}}/{{name}}", self._stored),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Check the token, also for files."""
        return super().is_authorized(request, "storage" if kind == "download" else kind)

    def new_id(self, number: int) -> str:
        """Return the name of an operation."""
        digits = hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()
        return f"{_PUBLISHER}/{self.model}/operations/{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{digits[20:32]}"

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in Google's format."""
        return JSONResponse({"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}, status)

    async def _predict(self, request: Request) -> Response:
        fields = await request.json()
        instances = fields.get("instances")
        if not isinstance(instances, list) or len(instances) != 1 or not instances[0].get("prompt"):
            return self.error_response(400, "instances must hold one prompt")
        parameters = fields.get("parameters", {})
        task = await self.accept(request.path_params["model"], instances[0], parameters=parameters)
        return JSONResponse({"name": task.id})

    async def _fetch(self, request: Request) -> Response:
        name = (await request.json()).get("operationName")
        task = self.tasks.get(name)
        stage = Lost() if task is None else self.advance(task)
        if task is None or isinstance(stage, Lost) or task.model != request.path_params["model"]:
            return self.error_response(404, "The operation was not found.")
        storage = task.extra["parameters"].get("storageUri")
        return JSONResponse({"name": name, **self._operation(stage, storage)})

    async def _stored(self, request: Request) -> Response:
        # The key of an object is one segment of the path.
        if request.url.query != "alt=media" or request.scope["raw_path"].count(b"%2F") != 2:
            return self.error_response(404, "Not Found")
        return await self._file(request)

    def _operation(self, stage: Stage, storage: str | None) -> dict[str, Any]:
        match stage:
            case Succeeded():
                return {"done": True, "response": {"videos": self._videos(stage, storage)}}
            case Expired():
                video = {"gcsUri": f"gs://{_BUCKET}/videos/gone/video.mp4", "mimeType": "video/mp4"}
                return {"done": True, "response": {"videos": [video]}}
            case Failed(why="content"):
                filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [_BLOCKED]}
                return {"done": True, "response": filtered}
            case Failed(message, why):
                return {"done": True, "error": {"code": 4 if why == "deadline" else 13, "message": message}}
            case Cancelled():
                return {"done": True, "error": {"code": 1, "message": "The operation was cancelled."}}
        # `done` is absent while the operation runs.
        return {}

    def _videos(self, stage: Succeeded, storage: str | None) -> list[dict[str, str]]:
        videos = []
        for file, url in zip(self.output_files(stage), self.output_urls(stage.files), strict=True):
            location = {"bytesBase64Encoded": base64.b64encode(file.data).decode()}
            if storage is not None:
                location = {"gcsUri": file.url or "/".join((storage, *url.split("/")[-2:]))}
            videos.append({**location, "mimeType": file.media_type})
        return videos
