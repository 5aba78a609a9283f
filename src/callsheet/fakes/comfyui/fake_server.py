"""The fake server: ComfyUI's HTTP routes and websocket, with faults that a test injects."""

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from callsheet.fakes.comfyui.all_nodes import KINDS
from callsheet.fakes.comfyui.executor import Executor
from callsheet.fakes.comfyui.fake_proxy import FakeProxy
from callsheet.fakes.comfyui.fake_websocket import FakeWebsocket
from callsheet.fakes.comfyui.folders import Folders
from callsheet.fakes.comfyui.validation import validate_prompt
from callsheet.fakes.providers.server import cut_connection, serve_app

VERSION = "0.33.0"
"""The version whose messages it sends."""
_NO_PROMPT = {"type": "no_prompt", "message": "No prompt provided", "details": "No prompt provided", "extra_info": {}}
_NO_UUID = {
    "type": "invalid_prompt_id",
    "message": "prompt_id must be a valid UUID",
    "details": "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server "
    "generate one",
    "extra_info": {},
}
_OK = Response(status_code=200)


class FakeComfyUI:
    """A fake ComfyUI server. Its attributes inject faults, and record requests."""

    def __init__(self, folder: Path, *, argv: Sequence[str] = ("main.py",)) -> None:
        self.url = ""
        self.argv = list(argv)
        # Faults
        self.lose_responses = 0
        """Number of submissions whose response is lost after the prompt was accepted."""
        self.drop_prompts = 0
        """Number of submissions that are lost before the prompt is accepted."""
        self.unavailable = False
        """Whether a proxy responds with status 502 in its place."""
        self.denied: int | None = None
        """Status with which a proxy rejects the credentials of all requests."""
        self.jobs_api = True
        """Whether it has the routes under /api/jobs, added in late 2025."""
        self.max_upload = 100 * 2**20
        self.login_pages = 0
        """Number of downloads that get the login page of a proxy, with status 200."""
        self.damaged_downloads = 0
        """Number of downloads that get the first half of the file, with status 200."""
        self.refuse_websockets = False
        """Whether a proxy refuses websocket connections with status 403."""
        self.silent_websockets = False
        """Whether websocket connections are accepted and get no messages."""
        self.missing_nodes: set[str] = set()
        """Node classes that are not installed."""
        # Recorded requests
        self.accepted: list[str] = []
        self.interrupts: list[str | None] = []
        self.uploads: list[str] = []
        self.free_requests = 0
        self.client_ids: list[str] = []
        self.prompt_requests: list[dict[str, Any]] = []
        """Bodies of all submissions, accepted or rejected."""
        self._folders = Folders(folder, folder / "temp")
        self._sockets: dict[str, FakeWebsocket] = {}
        self._open_sockets: set[FakeWebsocket] = set()
        self._workers: set[asyncio.Task[None]] = set()
        for kind in ("input", "output", "temp"):
            self._folders.of(kind).mkdir(parents=True, exist_ok=True)
        self.executor = self._new_executor()

    @property
    def output(self) -> Path:
        """The folder of saved files."""
        return self._folders.of("output")

    @property
    def sockets(self) -> int:
        """Number of open websockets."""
        return len(self._open_sockets)

    def app(self) -> ASGIApp:
        """Return the server as an ASGI app; every route also exists under /api."""
        handlers: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
            ("POST", "/prompt", self._post_prompt),
            ("GET", "/prompt", self._get_prompt),
            ("GET", "/queue", self._get_queue),
            ("POST", "/queue", self._post_queue),
            ("POST", "/interrupt", self._interrupt),
            ("GET", "/history/{id}", self._get_history),
            ("POST", "/history", self._post_history),
            ("POST", "/upload/image", self._upload),
            ("GET", "/view", self._view),
            ("GET", "/object_info", self._object_info),
            ("GET", "/system_stats", self._stats),
            ("POST", "/free", self._free),
        ]
        routes: list[Route | WebSocketRoute] = [
            Route(f"{prefix}{path}", handler, methods=[method])
            for method, path, handler in handlers
            for prefix in ("", "/api")
        ]
        routes += [Route("/api/jobs/{id}/cancel", self._cancel_job, methods=["POST"]), WebSocketRoute("/ws", self._ws)]
        return Starlette(routes=routes, middleware=[Middleware(FakeProxy, self)])

    # Control by the test

    async def restart(self) -> None:
        """Lose everything except files, and drop all connections, as a new process would."""
        self.cut_sockets()
        self.executor = self._new_executor()

    def cut_sockets(self, code: int | None = None) -> None:
        """Close every websocket with a code; without one, drop it without a close frame."""
        for socket in tuple(self._open_sockets):
            socket.disconnect(code)

    async def close(self) -> None:
        """Drop all connections, and stop the executor."""
        self.cut_sockets()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _new_executor(self) -> Executor:
        for worker in self._workers:
            worker.cancel()
        executor = Executor(self._folders, self._send)
        worker = asyncio.get_running_loop().create_task(executor.work())
        self._workers.add(worker)
        return executor

    # Websocket

    def _send(self, kind: str, data: Any, client: str | None) -> None:
        if self.silent_websockets:
            return
        if client is None and kind not in ("status", "progress", "progress_state"):
            return
        recipients = self._sockets.values() if client is None else filter(None, [self._sockets.get(client)])
        for socket in tuple(recipients):
            socket.send({"type": kind, "data": data})

    async def _ws(self, connection: WebSocket) -> None:
        await connection.accept()
        sid = connection.query_params.get("clientId") or uuid4().hex
        socket = FakeWebsocket(connection)
        # As on the real server: a newer connection of the same id replaces the older one, and gets no messages any
        # more when the older one closes.
        self._sockets[sid] = socket
        self._open_sockets.add(socket)
        self.client_ids.append(sid)
        status = {"exec_info": {"queue_remaining": self.executor.remaining}}
        if not self.silent_websockets:
            socket.send({"type": "status", "data": {"status": status, "sid": sid}})
            if self.executor.client_id == sid and self.executor.last_node_id is not None:
                socket.send({"type": "executing", "data": {"node": self.executor.last_node_id}})
        try:
            await socket.serve(self.max_upload)
        finally:
            self._sockets.pop(sid, None)
            self._open_sockets.discard(socket)

    # HTTP

    async def _post_prompt(self, request: Request) -> Response:
        if self.drop_prompts > 0:
            self.drop_prompts -= 1
            await request.body()
            await cut_connection(request)
            return _OK
        try:
            body = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("500 Internal Server Error", 500)
        self.prompt_requests.append(body)
        if not isinstance(body, dict) or "prompt" not in body:
            return _json({"error": _NO_PROMPT, "node_errors": {}}, 400)
        prompt = body["prompt"]
        prompt_id = body.get("prompt_id") or str(uuid4())
        if not _is_uuid(prompt_id):
            return _json({"error": _NO_UUID, "node_errors": {}}, 400)
        number = self.executor.number
        self.executor.number += 1
        folder = self._folders.of("input")
        error, outputs, node_errors = validate_prompt(
            prompt, lambda name: (folder / name).is_file(), self.missing_nodes
        )
        if error is not None:
            return _json({"error": error, "node_errors": node_errors}, 400)
        extra = {**body["extra_data"], "client_id": body["client_id"]} if body.get("client_id") else {}
        extra["create_time"] = int(time.time() * 1000)
        self.accepted.append(prompt_id)
        self.executor.put((number, prompt_id, copy.deepcopy(prompt), extra, outputs))
        if self.lose_responses > 0:
            self.lose_responses -= 1
            await cut_connection(request)
        return _json({"prompt_id": prompt_id, "number": number, "node_errors": node_errors})

    async def _get_prompt(self, _: Request) -> Response:
        return _json({"exec_info": {"queue_remaining": self.executor.remaining}})

    async def _get_queue(self, _: Request) -> Response:
        executor = self.executor
        return _json({"queue_running": list(executor.running.values()), "queue_pending": executor.queue})

    async def _post_queue(self, request: Request) -> Response:
        for prompt_id in json.loads(await request.body()).get("delete", ()):
            self.executor.delete(prompt_id)
        return _OK

    async def _interrupt(self, request: Request) -> Response:
        body = await request.body()
        prompt_id = json.loads(body).get("prompt_id") if body else None
        self.interrupts.append(prompt_id)
        self.executor.interrupt(prompt_id)
        return _OK

    async def _get_history(self, request: Request) -> Response:
        prompt_id = request.path_params["id"]
        entry = self.executor.history.get(prompt_id)
        return _json({} if entry is None else {prompt_id: entry})

    async def _post_history(self, request: Request) -> Response:
        for prompt_id in json.loads(await request.body()).get("delete", ()):
            self.executor.history.pop(prompt_id, None)
        return _OK

    async def _upload(self, request: Request) -> Response:
        if int(request.headers.get("content-length", "0")) > self.max_upload:
            return PlainTextResponse("Request Entity Too Large", 413)
        form = await request.form()
        image, subfolder = form.get("image"), str(form.get("subfolder") or "")
        if not isinstance(image, UploadFile) or not image.filename:
            return Response(status_code=400)
        root = self._folders.of(str(form.get("type") or "input")).resolve()
        folder = (root / subfolder).resolve()
        if not folder.is_relative_to(root):
            return Response(status_code=400)
        folder.mkdir(parents=True, exist_ok=True)
        name = _free_name(folder, image.filename, data := await image.read())
        (folder / name).write_bytes(data)
        self.uploads.append(name)
        return _json({"name": name, "subfolder": subfolder, "type": "input"})

    async def _view(self, request: Request) -> Response:
        if self.login_pages:
            self.login_pages -= 1
            return HTMLResponse("<!DOCTYPE html><html><head><title>Sign in</title></head></html>")
        name, subfolder = request.query_params.get("filename", ""), request.query_params.get("subfolder", "")
        if not name or ".." in name or name.startswith("/"):
            return Response(status_code=400)
        try:
            root = self._folders.of(request.query_params.get("type", "output")).resolve()
        except KeyError:
            return Response(status_code=400)
        path = (root / subfolder / Path(name).name).resolve()
        if not path.is_relative_to(root):
            return Response(status_code=403)
        if not path.is_file():
            return Response(status_code=404)
        if self.damaged_downloads:
            self.damaged_downloads -= 1
            return Response(path.read_bytes()[: path.stat().st_size // 2])
        return FileResponse(path)

    async def _object_info(self, _: Request) -> Response:
        return _json(
            {
                name: {
                    "input": {
                        "required": dict(kind.inputs),
                        "optional": dict(kind.optional),
                        "hidden": dict.fromkeys(kind.hidden, "UNIQUE_ID"),
                    },
                    "output": kind.returns,
                    "output_node": kind.output,
                }
                for name, kind in KINDS.items()
                if name not in self.missing_nodes
            }
        )

    async def _stats(self, _: Request) -> Response:
        device = {"name": "cpu", "type": "cpu", "index": None, "vram_total": 2**34, "vram_free": 2**33}
        system = {"os": "posix", "comfyui_version": VERSION, "argv": self.argv, "ram_total": 2**34, "ram_free": 2**33}
        return _json({"system": system, "devices": [device]})

    async def _free(self, _: Request) -> Response:
        self.free_requests += 1
        return _OK

    async def _cancel_job(self, request: Request) -> Response:
        if not self.jobs_api:
            return PlainTextResponse("404: Not Found", 404)
        prompt_id = request.path_params["id"]
        before = self.executor.remaining
        self.executor.delete(prompt_id)
        is_running = any(item[1] == prompt_id for item in self.executor.running.values())
        if is_running:
            self.interrupts.append(prompt_id)
            self.executor.interrupt(prompt_id)
        return _json({"cancelled": self.executor.remaining < before or is_running})


def _is_uuid(value: Any) -> bool:
    try:
        return bool(str(UUID(value)) == value)
    except (ValueError, AttributeError, TypeError):
        return False


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")


def _free_name(folder: Path, name: str, data: bytes) -> str:
    stem, suffix, number = Path(name).stem, Path(name).suffix, 0
    while (folder / name).exists() and (folder / name).read_bytes() != data:
        number += 1
        name = f"{stem} ({number}){suffix}"
    return name


@asynccontextmanager
async def running_comfyui(folder: Path, *, port: int = 0) -> AsyncIterator[FakeComfyUI]:
    """Run a fake server in this process during the block. Its files are in `folder`."""
    server = FakeComfyUI(folder)
    try:
        async with serve_app(server.app(), port=port) as url:
            server.url = url
            yield server
            await server.close()
    finally:
        await server.close()
