"""Veo on Vertex AI, as of 2026-11: long-running predictions, and Cloud Storage, where its films may lie."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from callsheet.fakes.providers.fake_server import Endpoint, FakeServer
from callsheet.fakes.providers.task_script import Cancelled, Expired, Failed, Lost, Stage, Succeeded

_PROJECT = "callsheet-stand-in"
_LOCATION = "us-central1"
_PUBLISHER = f"projects/{_PROJECT}/locations/{_LOCATION}/publishers/google/models"
_BUCKET = "callsheet-stand-in"
_BLOCKED = "The video was blocked, since it may violate our usage guidelines. Support codes: 15236754"


class FakeVertex(FakeServer):
    """Vertex AI. Films are put into its storage where an order asks for that, else they stand in its answers."""

    name = "vertex"
    model = "veo-3.1-generate-001"
    key = "ya29.stand-in-token-of-vertex"

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        return {
            "vertex_url": self.base_url,
            "vertex_project": _PROJECT,
            "vertex_location": _LOCATION,
            "vertex_token": self.key,
            "vertex_storage": f"gs://{_BUCKET}/films",
            "vertex_storage_url": self.base_url,
        }

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        return (
            Endpoint("submit", "POST", f"/v1beta1/{_PUBLISHER}/{{model}}:predictLongRunning", self._predict),
            Endpoint("status", "POST", f"/v1beta1/{_PUBLISHER}/{{model}}:fetchPredictOperation", self._fetch),
            Endpoint("download", "GET", f"/storage/v1/b/{_BUCKET}/o/films/{{number}}/{{name}}", self._stored),
        )

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Ask for the token everywhere."""
        return super().is_authorized(request, "storage" if kind == "download" else kind)

    def new_id(self, number: int) -> str:
        """Return the name of an operation."""
        digits = hashlib.sha256(f"{self.base_url}{number}".encode()).hexdigest()
        return f"{_PUBLISHER}/{self.model}/operations/{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{digits[20:32]}"

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in Google's shape."""
        return JSONResponse({"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}, status)

    async def _predict(self, request: Request) -> Response:
        told = await request.json()
        instances = told.get("instances")
        if not isinstance(instances, list) or len(instances) != 1 or not instances[0].get("prompt"):
            return self.error_response(400, "instances must hold one prompt")
        parameters = told.get("parameters", {})
        taken = await self.accept(request.path_params["model"], instances[0], parameters=parameters)
        return JSONResponse({"name": taken.id})

    async def _fetch(self, request: Request) -> Response:
        name = (await request.json()).get("operationName")
        taken = self.tasks.get(name)
        stage = Lost() if taken is None else self.advance(taken)
        if taken is None or isinstance(stage, Lost) or taken.model != request.path_params["model"]:
            return self.error_response(404, "The operation was not found.")
        storage = taken.extra["parameters"].get("storageUri")
        return JSONResponse({"name": name, **self._told(stage, storage)})

    async def _stored(self, request: Request) -> Response:
        # The name of an object is one segment of the path.
        if request.url.query != "alt=media" or request.scope["raw_path"].count(b"%2F") != 2:
            return self.error_response(404, "Not Found")
        return await self._file(request)

    def _told(self, stage: Stage, storage: str | None) -> dict[str, Any]:
        match stage:
            case Succeeded():
                return {"done": True, "response": {"videos": self._films(stage, storage)}}
            case Expired():
                film = {"gcsUri": f"gs://{_BUCKET}/films/gone/film.mp4", "mimeType": "video/mp4"}
                return {"done": True, "response": {"videos": [film]}}
            case Failed(why="content"):
                filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [_BLOCKED]}
                return {"done": True, "response": filtered}
            case Failed(message, why):
                return {"done": True, "error": {"code": 4 if why == "deadline" else 13, "message": message}}
            case Cancelled():
                return {"done": True, "error": {"code": 1, "message": "The operation was cancelled."}}
        # As long as it runs, `done` is not even there.
        return {}

    def _films(self, stage: Succeeded, storage: str | None) -> list[dict[str, str]]:
        films = []
        for file, url in zip(self.output_files(stage), self.output_urls(stage.files), strict=True):
            place = {"bytesBase64Encoded": base64.b64encode(file.data).decode()}
            if storage is not None:
                place = {"gcsUri": file.url or "/".join((storage, *url.split("/")[-2:]))}
            films.append({**place, "mimeType": file.media_type})
        return films
