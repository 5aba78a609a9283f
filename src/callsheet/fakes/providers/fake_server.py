"""Base class of fake providers: a real web server that speaks the wire format of a provider.

    async with FakeReplicate() as replicate:
        replicate.inject_faults(submit=[CutConnection(accepted=True)])
        replicate.script(Queued(), Running(0.5), Succeeded())
        async with discover_providers(Settings(), provider_settings=[replicate.provider_settings()]) as providers:
            ...
        assert replicate.paid == 1

A subclass is one file. It defines the endpoints, the representation of a task, the errors and the signatures.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, ClassVar, Self

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from callsheet.fakes.providers.faults import Fault, FaultContext, NoFault
from callsheet.fakes.providers.server import serve_app
from callsheet.fakes.providers.task_script import (
    FINAL_STAGES,
    FakeFile,
    Queued,
    Running,
    Stage,
    Succeeded,
    sample_image,
    sample_video,
)
from callsheet.fakes.providers.webhook_script import SentWebhook, WebhookScript
from callsheet.providers.contract import InputFile, SubmitRequest
from callsheet.providers.registry import read_registry
from callsheet.providers.settings import ProviderSettings

_WEBHOOK_TIMEOUT = 10
_MAX_RECORDED = 100_000


@dataclass(slots=True)
class FakeTask:
    """An accepted submission. A real provider bills it."""

    id: str
    model: str
    input: Mapping[str, Any]
    webhook: str | None
    script: Sequence[Stage]
    webhook_script: WebhookScript
    created_at: datetime
    position: int = 0
    """Index of the current stage in the script."""
    ended_at: datetime | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Further data of one provider."""

    @property
    def stage(self) -> Stage:
        """Current stage."""
        return self.script[self.position]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A received request, whatever its response was."""

    kind: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed JSON body."""
        return json.loads(self.body)


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint. Kinds: `submit`, `status`, `result`, `cancel`, `list`, `download`, `keys`…"""

    kind: str
    method: str
    path: str
    """Path as in Starlette's routes."""
    handler: Handler


class FakeServer:
    """Fake of one provider. `pace`: seconds between the stages of a task; None: each poll advances the task."""

    name: ClassVar[str]
    """Name of the provider."""
    settings_class: ClassVar[type[ProviderSettings]]
    """Settings class of the provider."""
    model: ClassVar[str] = "someone/some-model"
    key: ClassVar[str]
    """The API key. It must never appear elsewhere."""
    moderates: ClassVar[bool] = True
    """Whether it reports that content was refused."""

    def __init__(self, *, pace: float | None = None, port: int = 0) -> None:
        self.base_url = ""
        """Base URL, after the start."""
        self.requests: list[RecordedRequest] = []
        """All requests; of very many, the latest ones."""
        self.tasks: dict[str, FakeTask] = {}
        """All accepted submissions by task id."""
        self.sent_webhooks: list[SentWebhook] = []
        self._pace = pace
        self._port = port
        self._script: Sequence[Stage] = (Queued(), Running(0.5), Succeeded())
        self._faults: dict[str, list[Fault]] = {}
        self._webhook_scripts: list[WebhookScript] = []
        self._files: dict[str, FakeFile] = {}
        self._numbers = itertools.count(1)
        self._stack = AsyncExitStack()
        self._background: set[asyncio.Task[None]] = set()

    # Control by a test

    def inject_faults(self, *, webhook: Sequence[WebhookScript] = (), **by_kind: Sequence[Fault]) -> None:
        """Set the faults of the next requests of each kind, and the webhooks of the next tasks."""
        self._webhook_scripts = [*webhook]
        for kind, faults in by_kind.items():
            self._faults[kind] = list(faults)

    def script(self, *stages: Stage) -> None:
        """Set the stages of the next tasks."""
        self._script = stages

    def settings(self) -> dict[str, Any]:
        """Return the fields of the provider's settings that connect it to this fake."""
        raise NotImplementedError

    def provider_settings(self, **changes: Any) -> ProviderSettings:
        """Return the provider's settings for this fake; nothing is read from a file `.env`."""
        return self.settings_class(_env_file=None, **{**self.settings(), **changes})

    def environment(self) -> dict[str, str]:
        """Return `settings` as environment variables."""
        return {self.settings_class.variables(name)[0]: str(value) for name, value in self.settings().items()}

    def example_request(self, **changes: Any) -> SubmitRequest:
        """Return a request that the fake accepts."""
        fields: dict[str, Any] = {"model": self.model, "input": {"prompt": "A red fox in the snow"}, **changes}
        return SubmitRequest(**fields)

    def request_with_file(self, file: InputFile) -> SubmitRequest | None:
        """Return a request with a file; None where the provider accepts no files."""
        return self.example_request(input={"prompt": "A red fox in the snow", "image": file})

    @property
    def paid(self) -> int:
        """Number of accepted submissions."""
        return len(self.tasks)

    def requests_of(self, kind: str) -> list[RecordedRequest]:
        """Return the requests of a kind."""
        return [request for request in self.requests if request.kind == kind]

    async def finish(self, task_id: str) -> None:
        """Move a task to its last stage, and wait until its webhook is sent."""
        task = self.tasks[task_id]
        task.position = len(task.script) - 1
        await self._end(task)

    async def wait_for_webhooks(self) -> None:
        """Wait until all webhooks are sent."""
        while self._background:
            await asyncio.wait(self._background)

    async def __aenter__(self) -> Self:
        endpoints = [*self.endpoints(), Endpoint("download", "GET", "/fake-files/{number}/{name}", self._file)]
        routes = [Route(endpoint.path, self._handler(endpoint), methods=[endpoint.method]) for endpoint in endpoints]
        app = Starlette(routes=routes, exception_handlers={404: self._not_found, 405: self._not_found})
        self.base_url = await self._stack.enter_async_context(serve_app(app, port=self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._stack.aclose()

    # Overridden by the fake of a provider

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoints."""
        raise NotImplementedError

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Return whether a request contains the API key, where its endpoint requires it."""
        return kind in ("download", "keys") or request.headers.get("Authorization") == f"Bearer {self.key}"

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in the provider's format."""
        return JSONResponse({"detail": message}, status)

    def new_id(self, number: int) -> str:
        """Return the id of a new task."""
        return f"{self.name}-{number:06d}"

    def webhook_body(self, task: FakeTask) -> bytes:
        """Return the body of a webhook."""
        raise NotImplementedError

    def webhook_headers(self, task: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:  # noqa: ARG002 - most sign nothing
        """Return the signature headers of a webhook."""
        return {}

    # Used by the fake of a provider

    async def accept(self, model: str, given: Mapping[str, Any], webhook: str | None = None, **extra: Any) -> FakeTask:
        """Accept a submission."""
        webhook_script = self._webhook_scripts.pop(0) if self._webhook_scripts else WebhookScript()
        task_id, now = self.new_id(next(self._numbers)), datetime.now(UTC)
        script = [_with_files(stage, model) for stage in self._script]
        task = FakeTask(task_id, model, dict(given), webhook, script, webhook_script, now, extra=extra)
        self.tasks[task.id] = task
        if webhook_script.before_response:
            await self.finish(task.id)
        elif self._pace is not None:
            self._start(self._run_script(task, self._pace))
        return task

    def advance(self, task: FakeTask) -> Stage:
        """Return the current stage of a task; without a pace, advance it."""
        stage = task.stage
        if self._pace is None and task.position + 1 < len(task.script):
            task.position += 1
        elif isinstance(stage, FINAL_STAGES) and task.ended_at is None:
            self._start(self._end(task))
        return stage

    async def end_with(self, task: FakeTask, stage: Stage) -> None:
        """End a task with a stage that is not in its script."""
        task.script, task.position = [_with_files(stage, task.model)], 0
        self._start(self._end(task))

    def output_files(self, stage: Succeeded) -> Sequence[FakeFile]:
        """Return the files of a stage; by default a video."""
        return (sample_video(),) if stage.files is None else stage.files

    def output_urls(self, files: Sequence[FakeFile] | None) -> list[str]:
        """Return the URLs of the files of a stage."""
        return [file.url or self._file_url(file) for file in (files if files is not None else (sample_video(),))]

    # Internals

    def _file_url(self, file: FakeFile) -> str:
        number = f"{len(self._files) + 1}"
        for known, held in self._files.items():
            number = known if held == file else number
        self._files[number] = file
        return f"{self.base_url}/fake-files/{number}/{file.name}"

    async def _file(self, request: Request) -> Response:
        file = self._files.get(request.path_params["number"])
        if file is None:
            return self.error_response(404, "Not found.")
        return Response(file.data, media_type=file.media_type)

    def _handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: Request) -> Response:
            await self._record(endpoint.kind, request)
            if not self.is_authorized(request, endpoint.kind):
                return self.error_response(401, "Unauthenticated.")
            faults = self._faults.get(endpoint.kind)
            fault = faults.pop(0) if faults else NoFault()
            return await fault(FaultContext(request, self.error_response), lambda: endpoint.handler(request))

        return handle

    async def _not_found(self, request: Request, _: Exception) -> Response:
        await self._record("unknown", request)
        return self.error_response(404, "No such endpoint.")

    async def _record(self, kind: str, request: Request) -> None:
        body = await request.body()
        self.requests.append(RecordedRequest(kind, request.method, str(request.url), dict(request.headers), body))
        if len(self.requests) > _MAX_RECORDED:
            del self.requests[: _MAX_RECORDED // 2]

    async def _run_script(self, task: FakeTask, pace: float) -> None:
        while task.position + 1 < len(task.script):
            await asyncio.sleep(pace)
            if task.ended_at is None:
                task.position += 1
        if task.ended_at is None and isinstance(task.stage, FINAL_STAGES):
            await self._end(task)

    async def _end(self, task: FakeTask) -> None:
        if task.ended_at is not None:
            return
        task.ended_at = datetime.now(UTC)
        if task.webhook is None:
            return
        await asyncio.sleep(task.webhook_script.delay)
        for _ in range(task.webhook_script.times):
            await self._send_webhook(task)
        if task.webhook_script.reordered:
            await self._send_webhook(replace(task, position=0))

    async def _send_webhook(self, task: FakeTask) -> None:
        script = task.webhook_script
        body = self.webhook_body(task) if script.body is None else script.body
        at = datetime.now(UTC) - timedelta(seconds=script.age)
        signature = self.webhook_headers(task, b"another message" if script.forged else body, at)
        try:
            headers = {"Content-Type": "application/json", **signature}
            async with httpx2.AsyncClient(timeout=_WEBHOOK_TIMEOUT, trust_env=False) as client:
                status = (await client.post(str(task.webhook), content=body, headers=headers)).status_code
        except httpx2.HTTPError:
            status = 0
        self.sent_webhooks.append(SentWebhook(task.id, body, status))

    def _start(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _with_files(stage: Stage, model: str) -> Stage:
    """Return a stage with an image as its file, if it has the default files and the model makes images."""
    is_default = isinstance(stage, Succeeded) and stage.files is None
    return Succeeded((sample_image(),)) if is_default and model in _image_models() else stage


@cache
def _image_models() -> frozenset[str]:
    models = read_registry().values()
    return frozenset(offer.model for model in models if model.makes == "image" for offer in model.offers)
