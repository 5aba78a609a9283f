"""Runs one prompt on one server, and resumes it after the worker died or was stopped.

A prompt is never queued twice. Its id and its server are recorded before it is sent (`PromptRecord`), so a later run
of the job waits for the same prompt. When the response to the submission is lost, the prompt is looked up.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from types import TracebackType
from typing import Any, Self

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.errors import execution_error
from callsheet.comfyui.graph import Graph, copy_graph, set_output_folder
from callsheet.comfyui.pool import ServerRequirements
from callsheet.comfyui.prompt_submission import submit_prompt
from callsheet.comfyui.prompt_tracker import PromptCallbacks, PromptTracker
from callsheet.comfyui.server import Server
from callsheet.comfyui.server_monitor import EXECUTOR_DEAD
from callsheet.domain.errors import (
    BadParams,
    JobError,
    Problem,
    PromptLost,
    ProviderUnreachable,
    TimedOut,
    Transient,
)
from callsheet.operation_api.contract import Context
from callsheet.operations.comfyui.input_files import fetch_files, upload_files
from callsheet.operations.comfyui.prepare import PreparedGraph
from callsheet.operations.comfyui.prompt_record import PromptRecord
from callsheet.operations.comfyui.server_session import ServerSession, find_server, open_session

RUN_SHARE = 0.95
"""The part of the job's progress that is the run on the server; the rest is the download of the files."""
_CANCEL_TIMEOUT = 20.0
_RESUMABLE = frozenset({"stopping", "lost"})
"""Reasons of a cancellation after which another run of the job resumes the prompt."""


@dataclass(frozen=True, slots=True)
class PromptResult:
    """A prompt that succeeded, on a server that is still connected."""

    client: ComfyUIClient
    prompt_id: str
    server: str
    entry: Mapping[str, Any]
    """The history entry."""


class PromptRun:
    """Runs one prepared graph. The server's slot is held until the block ends, so that outputs can be downloaded.

    async with PromptRun(job, prepared, requirements, unique_names=True, timeout=None) as run:
        result = await run.run()
    """

    def __init__(
        self,
        job: Context,
        prepared: PreparedGraph,
        requirements: ServerRequirements,
        *,
        unique_names: bool,
        timeout: float | None,
    ) -> None:
        """`timeout` limits the prompt, in seconds; `unique_names` saves its files in a folder of their own."""
        self._job = job
        self._pool = job.comfyui
        self._prepared = prepared
        self._requirements = requirements
        self._unique_names = unique_names
        self._timeout = timeout
        self._record = PromptRecord(job)
        self._held = AsyncExitStack()
        self._session: ServerSession | None = None
        self._ended_prompt: str | None = None
        self._unreachable: ProviderUnreachable | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._session is not None:
                await self._record_outcome(self._session, error)
        finally:
            await self._held.__aexit__(kind, error, trace)

    async def _record_outcome(self, session: ServerSession, error: BaseException | None) -> None:
        if isinstance(error, PromptLost | ProviderUnreachable):
            session.server.record_failure(error.message)
        elif self._ended_prompt is None:
            return
        elif error is None:
            session.server.record_success(self._prepared.workflow)
        elif isinstance(error, JobError) and not isinstance(error, Transient):
            # The failure is final. A manual retry must run the prompt again instead of finding the failed one.
            await session.client.delete_history(self._ended_prompt)

    async def run(self) -> PromptResult:
        """Submit or resume the prompt, and return its result once it has succeeded.

        Raises BadParams when the server rejects the prompt, ProviderFailed when it fails, TimedOut, and the transient
        errors PromptLost and ProviderUnreachable.
        """
        for number in count(1):
            is_new = await self._record.begin(number)
            result = await (self._start(number) if is_new else self._resume(number))
            if result is not None:
                return result
        raise AssertionError("unreachable: count() does not end")

    # Start and resume

    async def _start(self, number: int) -> PromptResult | None:
        """Submit the prompt, and wait for it. None when it was certainly not sent, so another server can be tried."""
        try:
            server = await self._held.enter_async_context(self._pool.acquire(self._requirements, self._on_wait))
        except ProviderUnreachable as error:
            # The last server's own error explains more than "no server left".
            raise (self._unreachable or error) from None
        submitted = False
        try:
            session = await self._open(server)
            # A server that does not respond to this gets no prompt, so another server can be tried safely.
            await session.client.queue_depth()
            graph = await self._prepare_graph(session.client, number)
            # The server is recorded before the prompt is sent: from here on, later runs look for the prompt there.
            await self._record.set_server(number, session.identity)
            tracker = self._tracker(session, graph, number)
            async with tracker.connected(), self._cancel_on_exit(session, tracker):
                tracker.prompt_id = await self._submit(session.client, graph, tracker)
                submitted = True
                entry = await self._wait(session, tracker)
        except ProviderUnreachable as error:
            if submitted:
                raise
            server.record_failure(error.message)
            self._job.log(f"{error.message}; trying another server, if there is one")
            self._unreachable = error
            self._requirements = replace(self._requirements, exclude=self._requirements.exclude | {server.name})
            await self._close_session()
            return None
        return self._result(session, tracker.prompt_id, entry)

    async def _resume(self, number: int) -> PromptResult | None:
        """Wait for a prompt that an earlier run submitted. None when that prompt is certainly lost."""
        identity = await self._record.get_server(number)
        server = None if identity is None else self._server_of(identity)
        if server is None:
            return None
        await self._held.enter_async_context(self._pool.acquire_on(server))
        session = await self._open(server)
        tracker = self._tracker(session, self._prepared.graph, number, resumed=True)
        try:
            async with tracker.connected(), self._cancel_on_exit(session, tracker):
                entry = await self._wait(session, tracker)
        except PromptLost as lost:
            self._job.log(f"{lost.message} It is submitted again.", prompt_id=tracker.prompt_id)
            await self._close_session()
            return None
        return self._result(session, tracker.prompt_id, entry)

    def _server_of(self, identity: str) -> Server | None:
        """Return the server that has the prompt; None when the prompt must be submitted again."""
        server = find_server(self._pool, identity)
        if server is None:
            self._job.log(f"The prompt was on the server {identity}, which is gone. It is submitted again.")
        elif server.cooldown and self._pool.has_alternative(server, self._requirements):
            self._job.log(f"{server.name} did not respond several times. The prompt is submitted to another server.")
            return None
        return server

    async def _open(self, server: Server) -> ServerSession:
        self._session = await self._held.enter_async_context(open_session(self._job, self._pool, server))
        return self._session

    async def _close_session(self) -> None:
        self._session = None
        await self._held.aclose()

    # Steps

    async def _prepare_graph(self, client: ComfyUIClient, number: int) -> Graph:
        """Upload the input files, and return the graph with their names on the server."""
        graph = copy_graph(self._prepared.graph)
        if self._unique_names:
            set_output_folder(graph, f"callsheet/{self._record.prompt_id(number)}")
        paths = await fetch_files(self._job, self._prepared.files)
        await upload_files(client, graph, self._prepared.files, paths)
        return graph

    def _tracker(self, session: ServerSession, graph: Graph, number: int, *, resumed: bool = False) -> PromptTracker:
        return PromptTracker(
            session.client,
            graph,
            self._record.prompt_id(number),
            client_name=self._job.settings.comfyui_client_id,
            callbacks=PromptCallbacks(
                lambda fraction, label: self._job.progress(fraction * RUN_SHARE, label), self._job.log
            ),
            resumed=resumed,
        )

    async def _submit(self, client: ComfyUIClient, graph: Graph, tracker: PromptTracker) -> str:
        submission = asyncio.ensure_future(submit_prompt(client, graph, tracker.prompt_id, tracker.client_id))
        try:
            prompt_id = await asyncio.shield(submission)
        except BadParams as rejected:
            raise self._with_params(rejected) from None
        except asyncio.CancelledError:
            # A prompt on its way can only be cancelled after it has arrived.
            await asyncio.wait({submission}, timeout=_CANCEL_TIMEOUT)
            submission.cancel()
            await asyncio.gather(submission, return_exceptions=True)
            raise
        self._job.log("ComfyUI has the prompt", prompt_id=prompt_id, server=client.display_url)
        return prompt_id

    def _with_params(self, rejected: BadParams) -> BadParams:
        """Replace the fields of the graph with the job's parameters that they were set from."""
        problems = []
        for problem in rejected.problems:
            param = self._prepared.params_by_field.get(problem.path.removeprefix("graph."))
            message = problem.message if param is None else f"{problem.message} ({problem.path})"
            problems.append(Problem(param or problem.path, problem.code, message))
        return BadParams(problems, rejected.message)

    async def _wait(self, session: ServerSession, tracker: PromptTracker) -> Mapping[str, Any]:
        settings = self._job.settings
        try:
            async with asyncio.timeout(self._timeout) as limit:
                return await tracker.wait(
                    poll_interval=settings.comfyui_poll_interval.total_seconds(),
                    timeout=settings.comfyui_timeout.total_seconds(),
                    check_alive=session.check_alive,
                )
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimedOut(f"The prompt exceeded its timeout of {self._timeout:g} s, and was cancelled.") from None

    def _result(self, session: ServerSession, prompt_id: str, entry: Mapping[str, Any]) -> PromptResult:
        self._ended_prompt = prompt_id
        if (error := execution_error(entry)) is not None:
            raise error
        return PromptResult(session.client, prompt_id, session.server.name, entry)

    # Cancellation

    @asynccontextmanager
    async def _cancel_on_exit(self, session: ServerSession, tracker: PromptTracker) -> AsyncGenerator[None, None]:
        """Cancel the prompt when the job ends early, unless another run will resume it."""
        try:
            yield
        except asyncio.CancelledError as stop:
            if not _RESUMABLE.intersection(map(str, stop.args)):
                await self._cancel(session, tracker.prompt_id)
            raise
        except TimedOut:
            await self._cancel(session, tracker.prompt_id)
            raise
        except ProviderUnreachable as error:
            # The prompt must not run later, when the server is restarted: the job may have moved on by then.
            if error.facts.get("reason") == EXECUTOR_DEAD:
                await self._cancel(session, tracker.prompt_id)
                if session.server.managed is not None:
                    await session.server.managed.stop(error.message)
            raise

    async def _cancel(self, session: ServerSession, prompt_id: str) -> None:
        try:
            status = await session.client.cancel(prompt_id, timeout=_CANCEL_TIMEOUT)
            await session.client.delete_history(prompt_id)
        except ProviderUnreachable as error:
            self._job.log(f"The prompt could not be cancelled: {error.message}", prompt_id=prompt_id)
            return
        if status.state != "running":
            return
        if session.server.managed is not None:
            await session.server.managed.stop(f"prompt {prompt_id} could not be cancelled otherwise")
        else:
            self._job.log("The prompt continues until its current node has finished.", prompt_id=prompt_id)

    def _on_wait(self, message: str) -> None:
        self._job.progress(0.0, message)
