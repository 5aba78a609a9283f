"""What every stand-in of a provider is: a real web server that speaks as the provider does.

    async with FakeReplicate() as replicate:
        replicate.forecast(submit=[Cut(accepted=True)])
        replicate.course(Waits(), Runs(0.5), Succeeds())
        settings = Settings(**replicate.settings())
        ...
        assert replicate.paid == 1

A subclass is one file: its doors (requests that it answers), how it shows a task, its errors, how it signs.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
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
    sample_video,
)
from callsheet.fakes.providers.webhook_script import SentWebhook, WebhookScript
from callsheet.providers.contract import InputFile, SubmitRequest
from callsheet.settings import Settings

_PATIENCE = 10
_MOST_REMEMBERED = 100_000


@dataclass(slots=True)
class FakeTask:
    """An order that was accepted: it costs money from here on."""

    id: str
    model: str
    input: Mapping[str, Any]
    webhook: str | None
    script: Sequence[Stage]
    webhook_script: WebhookScript
    created_at: datetime
    position: int = 0
    """Where on its course it is."""
    ended_at: datetime | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """What a provider keeps besides."""

    @property
    def stage(self) -> Stage:
        """How it stands."""
        return self.script[self.position]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that came, whatever became of it."""

    kind: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what it brought, read as JSON."""
        return json.loads(self.body)


Answer = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request that is answered. Kinds: `submit`, `look`, `result`, `cancel`, `list`, `download`, `keys`…"""

    kind: str
    method: str
    path: str
    """As Starlette's routes."""
    handler: Answer


class FakeServer:
    """One provider's stand-in. `pace`: seconds between the stages of a task; None: a look moves it on."""

    name: ClassVar[str]
    """The provider's."""
    model: ClassVar[str] = "someone/some-model"
    key: ClassVar[str]
    """What opens it. It must never be seen elsewhere."""
    moderates: ClassVar[bool] = True
    """Whether it tells what was refused for its content."""

    def __init__(self, *, pace: float | None = None, port: int = 0) -> None:
        self.base_url = ""
        """Where it answers, once it is open."""
        self.requests: list[RecordedRequest] = []
        """Every request; of very many, the latest."""
        self.tasks: dict[str, FakeTask] = {}
        """Every order that was accepted, by the id of its task."""
        self.sent_webhooks: list[SentWebhook] = []
        """Every webhook that was sent."""
        self._pace = pace
        self._port = port
        self._course: Sequence[Stage] = (Queued(), Running(0.5), Succeeded())
        self._forecast: dict[str, list[Fault]] = {}
        self._calls: list[WebhookScript] = []
        self._files: dict[str, FakeFile] = {}
        self._numbers = itertools.count(1)
        self._stack = AsyncExitStack()
        self._errands: set[asyncio.Task[None]] = set()

    # What a test says

    def inject_faults(self, *, webhook: Sequence[WebhookScript] = (), **by_kind: Sequence[Fault]) -> None:
        """Say what happens to the next requests of each kind, and to the webhooks of the next tasks."""
        self._calls = [*webhook]
        for kind, weathers in by_kind.items():
            self._forecast[kind] = list(weathers)

    def script(self, *stages: Stage) -> None:
        """Say what the next tasks go through."""
        self._course = stages

    def settings(self) -> dict[str, Any]:
        """Return the settings that lead to it."""
        raise NotImplementedError

    def example_request(self, **changes: Any) -> SubmitRequest:
        """Return an order that it takes."""
        told: dict[str, Any] = {"model": self.model, "input": {"prompt": "A red fox in the snow"}, **changes}
        return SubmitRequest(**told)

    def request_with_file(self, file: InputFile) -> SubmitRequest | None:
        """Return an order that holds a file; None where it takes none."""
        return self.example_request(input={"prompt": "A red fox in the snow", "image": file})

    def environment(self) -> dict[str, str]:
        """Return `settings` as environment variables."""
        return {f"CALLSHEET_{name.upper()}": str(value) for name, value in self.settings().items()}

    def opened_settings(self, **others: Any) -> Settings:
        """Return settings of which nothing comes from the environment."""
        return Settings(_env_file=None, **{**self.settings(), **others})

    # What a test sees

    @property
    def paid(self) -> int:
        """How many orders were accepted."""
        return len(self.tasks)

    def requests_of(self, kind: str) -> list[RecordedRequest]:
        """Return the requests of a kind."""
        return [came for came in self.requests if came.kind == kind]

    # What a test does

    async def finish(self, task_id: str) -> None:
        """End a task now, as its course says, and wait until its webhook was sent."""
        taken = self.tasks[task_id]
        taken.position = len(taken.script) - 1
        await self._ended(taken)

    async def wait_for_webhooks(self) -> None:
        """Wait until every webhook was sent."""
        while self._errands:
            await asyncio.wait(self._errands)

    async def __aenter__(self) -> Self:
        routes = [Route(door.path, self._guarded(door), methods=[door.method]) for door in self._all_doors()]
        app = Starlette(routes=routes, exception_handlers={404: self._nothing_here, 405: self._nothing_here})
        self.base_url = await self._stack.enter_async_context(serve_app(app, port=self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        await self._stack.aclose()

    # What a provider's file says

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the requests that it answers."""
        raise NotImplementedError

    def is_authorized(self, request: Request, kind: str) -> bool:
        """Tell whether a request brings the key, where it needs one."""
        return kind in ("download", "keys") or request.headers.get("Authorization") == f"Bearer {self.key}"

    def error_response(self, status: int, message: str) -> Response:
        """Return an error in the provider's words."""
        return JSONResponse({"detail": message}, status)

    def webhook_body(self, taken: FakeTask) -> bytes:
        """Return the body of a webhook."""
        raise NotImplementedError

    def webhook_headers(self, taken: FakeTask, body: bytes, at: datetime) -> Mapping[str, str]:  # noqa: ARG002 - most sign nothing
        """Return the headers that prove a webhook."""
        return {}

    # What a provider's file uses

    async def accept(self, model: str, given: Mapping[str, Any], webhook: str | None = None, **extra: Any) -> FakeTask:
        """Accept an order."""
        calls = self._calls.pop(0) if self._calls else WebhookScript()
        name = self.new_id(next(self._numbers))
        taken = FakeTask(name, model, dict(given), webhook, self._course, calls, datetime.now(UTC), extra=extra)
        self.tasks[taken.id] = taken
        if calls.before_response:
            await self.finish(taken.id)
        elif self._pace is not None:
            self._later(self._live(taken, self._pace))
        return taken

    def new_id(self, number: int) -> str:
        """Return the id of a task."""
        return f"{self.name}-{number:06d}"

    def advance(self, taken: FakeTask) -> Stage:
        """Return how a task stands, and move it on where looks do that."""
        stage = taken.stage
        if self._pace is None and taken.position + 1 < len(taken.script):
            taken.position += 1
        elif isinstance(stage, FINAL_STAGES) and taken.ended_at is None:
            self._later(self._ended(taken))
        return stage

    async def end_with(self, taken: FakeTask, stage: Stage) -> None:
        """End a task otherwise than its course says."""
        taken.script, taken.position = [stage], 0
        self._later(self._ended(taken))

    def output_files(self, stage: Succeeded) -> Sequence[FakeFile]:
        """Return what a task made: a film, where its course does not say."""
        return (sample_video(),) if stage.files is None else stage.files

    def output_urls(self, files: Sequence[FakeFile] | None) -> list[str]:
        """Return where the files of a stage are."""
        return [file.url or self._address(file) for file in (files if files is not None else (sample_video(),))]

    # How it works

    def _address(self, file: FakeFile) -> str:
        number = f"{len(self._files) + 1}"
        for known, held in self._files.items():
            number = known if held == file else number
        self._files[number] = file
        return f"{self.base_url}/stand-in-files/{number}/{file.name}"

    async def _file(self, request: Request) -> Response:
        file = self._files.get(request.path_params["number"])
        if file is None:
            return self.error_response(404, "Not found.")
        return Response(file.data, media_type=file.media_type)

    def _all_doors(self) -> list[Endpoint]:
        return [*self.endpoints(), Endpoint("download", "GET", "/stand-in-files/{number}/{name}", self._file)]

    def _guarded(self, door: Endpoint) -> Answer:
        async def answer(request: Request) -> Response:
            await self._note(door.kind, request)
            if not self.is_authorized(request, door.kind):
                return self.error_response(401, "Unauthenticated.")
            waiting = self._forecast.get(door.kind)
            weather = waiting.pop(0) if waiting else NoFault()
            return await weather(FaultContext(request, self.error_response), lambda: door.handler(request))

        return answer

    async def _nothing_here(self, request: Request, _: Exception) -> Response:
        await self._note("unknown", request)
        return self.error_response(404, "There is nothing here.")

    async def _note(self, kind: str, request: Request) -> None:
        body = await request.body()
        self.requests.append(RecordedRequest(kind, request.method, str(request.url), dict(request.headers), body))
        if len(self.requests) > _MOST_REMEMBERED:
            del self.requests[: _MOST_REMEMBERED // 2]

    async def _live(self, taken: FakeTask, pace: float) -> None:
        while taken.position + 1 < len(taken.script):
            await asyncio.sleep(pace)
            if taken.ended_at is None:
                taken.position += 1
        if taken.ended_at is None and isinstance(taken.stage, FINAL_STAGES):
            await self._ended(taken)

    async def _ended(self, taken: FakeTask) -> None:
        if taken.ended_at is not None:
            return
        taken.ended_at = datetime.now(UTC)
        if taken.webhook is None:
            return
        await asyncio.sleep(taken.webhook_script.delay)
        for _ in range(taken.webhook_script.times):
            await self._call(taken)
        if taken.webhook_script.reordered:
            await self._call(replace(taken, position=0))

    async def _call(self, taken: FakeTask) -> None:
        body = self.webhook_body(taken) if taken.webhook_script.body is None else taken.webhook_script.body
        at = datetime.now(UTC) - timedelta(seconds=taken.webhook_script.age)
        proof = self.webhook_headers(taken, b"another message" if taken.webhook_script.forged else body, at)
        try:
            headers = {"Content-Type": "application/json", **proof}
            async with httpx2.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
                status = (await client.post(str(taken.webhook), content=body, headers=headers)).status_code
        except httpx2.HTTPError:
            status = 0
        self.sent_webhooks.append(SentWebhook(taken.id, body, status))

    def _later(self, errand: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
