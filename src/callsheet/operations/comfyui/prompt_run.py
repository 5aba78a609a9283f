"""Runs one prompt on one server, and resumes it after the worker died or was stopped.

A prompt is never queued twice. Its id and its server are recorded before it is sent (`PromptRecord`), so a later run
of the job waits for the same prompt. When the response to the submission is lost, the prompt is looked up.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Self

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.errors import AccessDenied, execution_error
from callsheet.comfyui.graph import Graph, copy_graph, set_unique_names
from callsheet.comfyui.node_schemas import read_schemas
from callsheet.comfyui.pool import ServerFacts, ServerRequirements, server_facts
from callsheet.comfyui.prompt_submission import submit_prompt
from callsheet.comfyui.prompt_tracker import PromptCallbacks, PromptTracker
from callsheet.comfyui.server import Fault, Server
from callsheet.comfyui.server_monitor import EXECUTOR_DEAD
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import (
    BadParams,
    JobError,
    Problem,
    PromptLost,
    ProviderFailed,
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
_NO_FOLDER = "No such file or directory"
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
    """Runs one prepared graph. The server's slot is held until the prompt ends, the connection until the block does,
    so that outputs can be downloaded.

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
        self._slot = AsyncExitStack()
        self._held = AsyncExitStack()
        self._session: ServerSession | None = None
        self._ended_prompt: str | None = None
        self._not_started: ProviderUnreachable | None = None
        self._last_log = ""
        self._wait_message: str | None = None
        self._started = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._session is not None:
                await self._record_outcome(self._session, error)
        finally:
            try:
                await self._held.__aexit__(kind, error, trace)
            finally:
                await self._slot.aclose()

    async def _record_outcome(self, session: ServerSession, error: BaseException | None) -> None:
        if self._ended_prompt is None:
            return
        if error is None:
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
        """Submit the prompt, and wait for it. None when it must be submitted again: it was not sent, or its server is
        away and another one responds.
        """
        session, graph = await self._ready_server(number)
        tracker = self._tracker(session, graph, number)
        submitted = False
        try:
            async with tracker.connected(), self._cancel_on_exit(session, tracker):
                tracker.prompt_id = await self._submit(session.client, graph, tracker)
                submitted = True
                self._pool.learn_nodes(session.server, session.client.url)
                entry = await self._wait(session, tracker)
        except ProviderUnreachable as error:
            if not submitted:
                await self._leave(session.server, error)
                return None
            await self._give_up(session.server, error)
            return None
        return await self._result(session, tracker.prompt_id, entry)

    async def _ready_server(self, number: int) -> tuple[ServerSession, Graph]:
        """Take a slot of a server that responds, upload the files, and record the server.

        Waits as long as no server responds: nothing was sent, so this costs no attempt.
        """
        while True:
            server = await self._acquire()
            try:
                session = await self._open(server)
                # A server that does not respond to this gets no prompt, so another server can be tried safely.
                await session.client.queue_depth()
                await self._check_fields(session.client)
                graph = await self._prepare_graph(session.client, number)
                # The server is recorded before the prompt is sent: from here on, later runs look for the prompt there.
                await self._record.set_server(number, session.identity)
            except (ProviderUnreachable, AccessDenied) as error:
                await self._leave(server, error)
            else:
                return session, graph

    async def _acquire(self) -> Server:
        try:
            return await self._slot.enter_async_context(self._pool.acquire(self._requirements, self._on_wait))
        except ProviderUnreachable as error:
            # The managed server's own error explains more than "no server left".
            raise (self._not_started or error) from None

    async def _leave(self, server: Server, error: ProviderUnreachable | AccessDenied) -> None:
        """Record why a server got no prompt, and release it."""
        kind: Fault = "unauthorized" if isinstance(error, AccessDenied) else "unreachable"
        server.record_fault(kind, error.message)
        if server.managed is not None and isinstance(error, ProviderUnreachable):
            self._not_started = error
            self._requirements = replace(self._requirements, exclude=self._requirements.exclude | {server.name})
        self._log_once(f"{error.message.rstrip('.')}; {server.name} gets no jobs until it responds")
        await self._close_session()

    def _log_once(self, message: str) -> None:
        if message != self._last_log:
            self._job.log(message)
            self._last_log = message

    async def _give_up(self, server: Server, error: ProviderUnreachable) -> None:
        """Leave a server that has the prompt, so that it is submitted again. Raises the error if that cannot help."""
        is_stuck = error.facts.get("reason") == EXECUTOR_DEAD
        server.record_fault("stuck" if is_stuck else "unreachable", error.message)
        if not await self._pool.has_alternative(server, self._requirements):
            raise error
        self._job.log(f"{error.message.rstrip('.')}. The prompt is submitted to another server.")
        await self._on_wait(None, False, [])
        await self._close_session()

    async def _resume(self, number: int) -> PromptResult | None:
        """Wait for a prompt that an earlier run submitted. None when it must be submitted again."""
        identity = await self._record.get_server(number)
        server = None if identity is None else self._server_of(identity)
        if server is None:
            return None
        await self._slot.enter_async_context(self._pool.acquire_on(server))
        session = await self._open(server)
        tracker = self._tracker(session, self._prepared.graph, number, resumed=True)
        try:
            async with tracker.connected(), self._cancel_on_exit(session, tracker):
                entry = await self._wait(session, tracker)
        except PromptLost as lost:
            self._job.log(f"{lost.message} It is submitted again.", prompt_id=tracker.prompt_id)
            await self._close_session()
            return None
        except ProviderUnreachable as error:
            await self._give_up(server, error)
            return None
        return await self._result(session, tracker.prompt_id, entry)

    def _server_of(self, identity: str) -> Server | None:
        """Return the server that has the prompt; None when the prompt must be submitted again."""
        server = find_server(self._pool, identity)
        if server is None:
            self._job.log(f"The prompt was on the server {identity}, which is gone. It is submitted again.")
        return server

    async def _open(self, server: Server) -> ServerSession:
        if server.managed is not None and not server.managed.is_ready:
            self._job.progress(0.0, "the worker's ComfyUI is starting")
        self._session = await self._held.enter_async_context(open_session(self._job, self._pool, server))
        return self._session

    async def _close_session(self) -> None:
        self._session = None
        await self._held.aclose()
        await self._slot.aclose()

    # Steps

    async def _prepare_graph(self, client: ComfyUIClient, number: int) -> Graph:
        """Upload the input files, and return the graph with their names on the server."""
        graph = copy_graph(self._prepared.graph)
        if self._unique_names:
            set_unique_names(graph, self._record.prompt_id(number))
        paths = await fetch_files(self._job, self._prepared.files)
        names = await upload_files(client, graph, self._prepared.files, paths)
        if self._session is not None and self._session.server.managed is not None:
            await self._session.server.managed.mark_used(names)
        return graph

    async def _check_fields(self, client: ComfyUIClient) -> None:
        """Raise BadParams for fields that the server would ignore, since its nodes do not have them."""
        if not self._prepared.unverified:
            return
        schemas = read_schemas(await client.object_info())
        problems = []
        for path in self._prepared.unverified:
            node, name = path.rsplit(".", 1)
            class_type = self._prepared.graph.get(node, {}).get("class_type")
            schema = schemas.get(str(class_type))
            if schema is not None and not schema.takes(name):
                message = f"{class_type} has no input '{name}'{did_you_mean(name, schema.inputs)}"
                param = self._prepared.params_by_field.get(path, f"graph.{path}")
                problems.append(Problem(param, "no_such_field", f"{message}; its inputs: {', '.join(schema.inputs)}"))
        if problems:
            raise BadParams(problems)

    def _tracker(self, session: ServerSession, graph: Graph, number: int, *, resumed: bool = False) -> PromptTracker:
        return PromptTracker(
            session.client,
            graph,
            self._record.prompt_id(number),
            client_name=self._job.settings.comfyui_client_id,
            callbacks=PromptCallbacks(
                on_progress=lambda fraction, label: self._job.progress(fraction * RUN_SHARE, label),
                on_note=self._job.log,
                on_away=partial(self._on_away, session.server),
                on_silence=partial(self._on_silence, session.server, self._record.prompt_id(number)),
                on_started=self._started.set,
            ),
            resumed=resumed,
            progress=min(1.0, self._job.progress_before / RUN_SHARE) if resumed else 0.0,
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
        self._started.clear()
        limit = asyncio.timeout(None)
        clock = asyncio.create_task(self._start_clock(limit))
        try:
            async with limit:
                return await tracker.wait(
                    poll_interval=settings.comfyui_poll_interval.total_seconds(),
                    poll_timeout=min(settings.comfyui_timeout, settings.comfyui_away_limit / 2).total_seconds(),
                    silence_limit=settings.comfyui_silence_limit.total_seconds(),
                    check_alive=session.check_alive,
                )
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimedOut(f"The prompt exceeded its timeout of {self._timeout:g} s, and was cancelled.") from None
        finally:
            clock.cancel()
            await asyncio.gather(clock, return_exceptions=True)

    async def _start_clock(self, limit: asyncio.Timeout) -> None:
        """Limit the time of the prompt from its start. The time in the server's queue does not count."""
        await self._started.wait()
        if self._timeout is not None:
            limit.reschedule(asyncio.get_running_loop().time() + self._timeout)

    async def _on_away(self, server: Server, error: ProviderUnreachable | None, seconds: float) -> bool:
        """Show that the server of a prompt does not respond, and return whether to leave it."""
        if error is None:
            server.record_answer()
            await self._on_wait(None, False, [])
            return False
        server.record_fault("unreachable", error.message)
        if server.fault is not None:
            await self._on_wait(
                f"{server.name} {server.fault}; the prompt may still run there", False, [server_facts(server)]
            )
        away = self._job.settings.comfyui_away_limit.total_seconds()
        # A process that does not listen has lost its prompts, unless a tunnel to it is down.
        if seconds < (away / 4 if error.facts.get("refused") else away):
            return False
        return not self._requirements.wait_for_servers or await self._pool.has_alternative(server, self._requirements)

    def _on_silence(self, server: Server, prompt_id: str, seconds: float | None) -> None:
        """Show that a running prompt shows no sign of life, or does again."""
        if seconds is None:
            server.record_sign(prompt_id)
        elif server.silent_prompt != prompt_id:
            reason = (
                f"prompt {prompt_id} runs without a message for {seconds:.0f} s: a node takes long, or the server must "
                "be restarted"
            )
            server.record_silence(prompt_id, reason)
            self._job.log(f"No sign of life: {reason}.", prompt_id=prompt_id)

    async def _result(self, session: ServerSession, prompt_id: str, entry: Mapping[str, Any]) -> PromptResult:
        self._ended_prompt = prompt_id
        if (error := execution_error(entry)) is not None:
            raise self._with_hint(error)
        self._pool.end_use()
        await self._slot.aclose()  # the server is free for the next job while the files are stored
        return PromptResult(session.client, prompt_id, session.server.name, entry)

    def _with_hint(self, error: ProviderFailed) -> ProviderFailed:
        """Add what helps if a node does not create the folder of its files."""
        node = self._prepared.graph.get(str(error.facts.get("node")), {})
        names_files = isinstance(node.get("inputs", {}).get("filename_prefix"), str)
        if not self._unique_names or not names_files or _NO_FOLDER not in error.message:
            return error
        message = f"{error.message}. The node may not create the folder of this job; `uniqueNames: false` uses none."
        return ProviderFailed(message, code=error.code, **error.facts)

    # Cancellation

    @asynccontextmanager
    async def _cancel_on_exit(self, session: ServerSession, tracker: PromptTracker) -> AsyncGenerator[None, None]:
        """Cancel the prompt when the job ends early, unless another run will resume it."""
        try:
            yield
            session.server.record_sign(tracker.prompt_id)
        except asyncio.CancelledError as stop:
            if not _RESUMABLE.intersection(map(str, stop.args)):
                await self._cancel(session, tracker.prompt_id)
            raise
        except TimedOut:
            await self._cancel(session, tracker.prompt_id)
            raise
        except ProviderUnreachable as error:
            # The prompt must not run later, when the executor works again: the job may have moved on by then.
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
        if status.state != "running" or session.server.managed is not None:
            session.server.record_sign(prompt_id)
        if status.state != "running":
            return
        if session.server.managed is not None:
            await session.server.managed.stop(f"prompt {prompt_id} could not be cancelled otherwise")
        else:
            self._job.log("The prompt continues until its current node has finished.", prompt_id=prompt_id)

    async def _on_wait(self, message: str | None, is_only_busy: bool, servers: ServerFacts) -> None:
        if message != self._wait_message:
            self._wait_message = message
            await self._job.show_wait(message, stops_clock=is_only_busy, servers=servers)
