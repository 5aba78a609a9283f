"""One job's way through a ComfyUI server: find its prompt there or send it, wait for its end.

The id of a prompt is ours, and which server gets it is written down before it is sent. So a later run of the job,
whose worker died or was stopped, asks that server for the prompt and goes on waiting for it; and when the answer to
the sending is lost, the prompt is looked up and not sent again.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from callsheet.comfyui.client import ComfyUI
from callsheet.comfyui.errors import execution_error
from callsheet.comfyui.graph import Graph, copied, name_files_apart, set_input
from callsheet.comfyui.pool import OWN, Pool, Server, ServerRequirements
from callsheet.comfyui.progress import PromptProgress
from callsheet.comfyui.prompt_tracker import EXECUTOR_DEAD, PromptEvents, PromptReport, submit_prompt, track_prompt
from callsheet.comfyui.websocket import WebsocketListener
from callsheet.domain.errors import (
    BadParams,
    JobError,
    OutcomeUnknown,
    Problem,
    PromptLost,
    ProviderUnreachable,
    TimedOut,
    Transient,
)
from callsheet.operation.contract import Context
from callsheet.operations.comfyui.log_forwarder import LogForwarder
from callsheet.operations.comfyui.prepare import PreparedGraph

R = TypeVar("R")

_MAYBE_TEXT: TypeAdapter[str | None] = TypeAdapter(str | None)
_SHARE = 0.95
"""Of the progress that is the server's; the rest is bringing the files here."""
_STOP_SECONDS = 20.0
_GOES_ON = frozenset({"stopping", "lost"})
"""Why a run may be stopped though the job is wanted: another run takes the prompt over."""


@dataclass(frozen=True, slots=True)
class PromptResult:
    """A prompt that has ended well, at a server that still answers."""

    comfy: ComfyUI
    prompt_id: str
    server: str
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServerSession:
    """A server that was gone to."""

    server: Server
    comfy: ComfyUI
    identity: str
    """Of the server while it lives: one that we start anew is another."""
    check: Callable[[], None]


class PromptRun:
    """Brings one graph to one server, and what comes of it to `collect`."""

    def __init__(
        self,
        job: Context,
        pool: Pool,
        draft: PreparedGraph,
        wish: ServerRequirements,
        bring: Callable[[], Awaitable[Mapping[str, Path]]],
        *,
        names_apart: bool,
        limit: float | None,
    ) -> None:
        """`bring` gives the files of the draft, by parameter; `limit` is how many seconds the prompt may take."""
        self._job = job
        self._pool = pool
        self._draft = draft
        self._wish = wish
        self._bring = bring
        self._names_apart = names_apart
        self._limit = limit
        self._unreachable: ProviderUnreachable | None = None

    async def run(self, collect: Callable[[PromptResult], Awaitable[R]]) -> R:
        """Return what `collect` makes of the prompt once it has ended well; its server is held until then.

        Raises BadParams when the server refuses the prompt, ProviderFailed when it fails, TimedOut, and for what may
        pass PromptLost and ProviderUnreachable.
        """
        for number in count(1):
            go = self._begin if await self._is_new(number) else self._go_on
            result = await go(number, collect)
            if result is not None:
                return result
        raise AssertionError("there is always a next number")

    # What is written down

    async def _is_new(self, number: int) -> bool:
        """Tell whether no run of this job has begun with this prompt before."""
        new = False

        async def begin() -> str:
            nonlocal new
            new = True
            return self._prompt_id(number)

        await self._written(f"prompt {number}", begin)
        return new

    async def _sent_to(self, number: int, identity: str | None) -> str | None:
        """Write down which server gets the prompt, None for none; returns what stands there."""

        async def tell() -> str | None:
            return identity

        return await self._written(f"server {number}", tell)

    async def _written(self, step: str, action: Callable[[], Awaitable[str | None]]) -> str | None:
        try:
            return await self._job.once(step, action, _MAYBE_TEXT)
        except OutcomeUnknown:
            # The run before ended in the middle of writing, so it had not sent anything yet.
            return None

    def _prompt_id(self, number: int) -> str:
        digest = hashlib.sha256(f"{self._job.id} {number}".encode()).digest()
        return str(UUID(bytes=digest[:16], version=4))

    # The two ways

    async def _begin(self, number: int, collect: Callable[[PromptResult], Awaitable[R]]) -> R | None:
        """Send the prompt; None when certainly nothing was sent, and another server may be asked."""
        try:
            async with self._pool.acquire(self._wish, self._say) as server:
                return await self._at(server, number, collect)
        except ProviderUnreachable as error:
            raise (self._unreachable or error) from None

    async def _at(self, server: Server, number: int, collect: Callable[[PromptResult], Awaitable[R]]) -> R | None:
        sent = False
        try:
            async with self._opened(server) as door:
                await door.comfy.depth()  # whoever does not answer this is sent nothing, and another can be asked
                graph = await self._graph(door.comfy, number)
                await self._sent_to(number, door.identity)
                listener, ears = self._ears(door, graph, number)
                async with listener.listening(), self._stopped_with_us(door, ears):
                    known = await self._sent(door.comfy, graph, number, listener.client_id)
                    sent = True
                    ears.prompt_id = ears.progress.prompt_id = known
                    entry = await self._followed(door, ears)
                return await self._ended(door, known, entry, collect)
        except PromptLost as error:
            server.failed(error.message)
            raise
        except ProviderUnreachable as error:
            server.failed(error.message)
            if sent:
                raise
            self._job.log(f"{error.message}; another server is asked, if there is one")
            self._unreachable = error
            self._wish = replace(self._wish, avoid=self._wish.avoid | {server.name})
            return None

    async def _go_on(self, number: int, collect: Callable[[PromptResult], Awaitable[R]]) -> R | None:
        """Wait for a prompt that an earlier run sent; None when there is none any more."""
        identity = await self._sent_to(number, None)
        server = None if identity is None else self._still_there(identity)
        if server is None:
            return None
        prompt_id = self._prompt_id(number)
        async with self._pool.acquire_on(server), self._opened(server) as door:
            listener, ears = self._ears(door, self._draft.graph, number)
            try:
                async with listener.listening(), self._stopped_with_us(door, ears):
                    entry = await self._followed(door, ears)
            except PromptLost as lost:
                self._job.log(f"{lost.message} It is sent anew.", prompt_id=prompt_id)
                return None
            except ProviderUnreachable as error:
                server.failed(error.message)
                raise
            return await self._ended(door, prompt_id, entry, collect)

    def _still_there(self, identity: str) -> Server | None:
        name, _, life = identity.partition(" ")
        server = self._pool.named(name)
        if server is None:
            self._job.log(f"The prompt was sent to {name}, which the settings do not name any more. It is sent anew.")
        elif server.child is not None and (server.child.process is None or server.child.process.id != life):
            self._job.log("The ComfyUI that had the prompt has ended. The prompt is sent anew.")
            return None
        elif server.resting and self._pool.has_another(server, self._wish):
            self._job.log(f"{name} has not answered several times. The prompt is sent to another server.")
            return None
        return server

    # The steps

    @asynccontextmanager
    async def _opened(self, server: Server) -> AsyncGenerator[ServerSession, None]:
        if server.child is None:
            async with self._pool.client(server.host.url) as comfy:
                yield ServerSession(server, comfy, server.name, lambda: None)
            return
        tap = LogForwarder(self._job)
        try:
            async with server.child.in_use(tap.on_line) as life, self._pool.client(life.url) as comfy:
                yield ServerSession(server, comfy, f"{OWN} {life.id}", life.check)
        finally:
            tap.flush()

    async def _graph(self, comfy: ComfyUI, number: int) -> Graph:
        graph = copied(self._draft.graph)
        if self._names_apart:
            name_files_apart(graph, f"callsheet/{self._prompt_id(number)}")
        paths = await self._bring()
        for given in self._draft.files:
            name = await comfy.upload(paths[given.param], await _upload_name(paths[given.param]))
            for field in given.fields:
                set_input(graph, field, name)
        return graph

    def _ears(self, door: ServerSession, graph: Graph, number: int) -> tuple[WebsocketListener, PromptEvents]:
        prompt_id = self._prompt_id(number)
        report = PromptReport(lambda share, label: self._job.progress(share * _SHARE, label), self._job.log)
        ears = PromptEvents(PromptProgress(graph, prompt_id), prompt_id, report, lambda: listener.whole)
        client_id = self._job.settings.comfyui_client_id
        listener = WebsocketListener(door.comfy.url, client_id, ears.on_message, ears.on_disconnect)
        return listener, ears

    async def _sent(self, comfy: ComfyUI, graph: Graph, number: int, client_id: str) -> str:
        sending = asyncio.ensure_future(submit_prompt(comfy, graph, self._prompt_id(number), client_id))
        try:
            known = await asyncio.shield(sending)
        except BadParams as refused:
            raise self._in_words_of_the_job(refused) from None
        except asyncio.CancelledError:
            # What is on its way cannot be stopped before it has arrived.
            await asyncio.wait({sending}, timeout=_STOP_SECONDS)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            raise
        self._job.log("ComfyUI has the prompt", prompt_id=known, server=comfy.place)
        return known

    def _in_words_of_the_job(self, refused: BadParams) -> BadParams:
        """Name the job's own parameters where the server names the fields that they went to."""
        problems = []
        for problem in refused.problems:
            param = self._draft.names.get(problem.path.removeprefix("graph."))
            words = problem.message if param is None else f"{problem.message} ({problem.path})"
            problems.append(Problem(param or problem.path, problem.code, words))
        return BadParams(problems, refused.message)

    async def _followed(self, door: ServerSession, ears: PromptEvents) -> Mapping[str, Any]:
        settings = self._job.settings
        try:
            async with asyncio.timeout(self._limit) as clock:
                return await track_prompt(
                    door.comfy,
                    ears,
                    interval=settings.comfyui_poll_interval.total_seconds(),
                    patience=settings.comfyui_timeout.total_seconds(),
                    check_alive=door.check,
                )
        except TimeoutError:
            if not clock.expired():
                raise
            raise TimedOut(f"The prompt took longer than its {self._limit:g} s, and was stopped.") from None

    @asynccontextmanager
    async def _stopped_with_us(self, door: ServerSession, ears: PromptEvents) -> AsyncGenerator[None, None]:
        """End the prompt when the job ends before it, unless another run will go on waiting for it."""
        try:
            yield
        except asyncio.CancelledError as stop:
            if not _GOES_ON.intersection(map(str, stop.args)):
                await self._stop(door, ears.prompt_id)
            raise
        except TimedOut:
            await self._stop(door, ears.prompt_id)
            raise
        except ProviderUnreachable as error:
            if error.facts.get("reason") == EXECUTOR_DEAD:
                await self._stop(door, ears.prompt_id)
                if door.server.child is not None:
                    await door.server.child.stop(error.message)
            raise

    async def _stop(self, door: ServerSession, prompt_id: str) -> None:
        try:
            standing = await door.comfy.stop(prompt_id, patience=_STOP_SECONDS)
            await door.comfy.delete_history(prompt_id)
        except ProviderUnreachable as error:
            self._job.log(f"The prompt could not be stopped: {error.message}", prompt_id=prompt_id)
            return
        if standing.state != "running":
            return
        if door.server.child is not None:
            await door.server.child.stop(f"prompt {prompt_id} could not be stopped otherwise")
        else:
            self._job.log("The prompt stops only when the node that works has ended.", prompt_id=prompt_id)

    async def _ended(
        self,
        door: ServerSession,
        prompt_id: str,
        entry: Mapping[str, Any],
        collect: Callable[[PromptResult], Awaitable[R]],
    ) -> R:
        try:
            if (failed := execution_error(entry)) is not None:
                raise failed
            result = await collect(PromptResult(door.comfy, prompt_id, door.server.name, entry))
        except JobError as error:
            if not isinstance(error, Transient):
                # It has been told; whoever retries the job by hand wants the prompt run again.
                await door.comfy.delete_history(prompt_id)
            raise
        door.server.worked(self._draft.workflow)
        return result

    def _say(self, message: str) -> None:
        self._job.progress(0.0, message)


async def _upload_name(path: Path) -> str:
    """Return a name that is the contents' own: the server keeps one file of it, whoever brings it."""
    digest = await asyncio.to_thread(_digest, path)
    suffix = path.suffix.lower()
    return digest[:32] + (suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else "")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
