"""A ComfyUI server that the worker runs itself: started for the first job, stopped when idle."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import structlog

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.server_command import build_command, code_folder
from callsheet.comfyui.server_files import find_old_files, managed_base, mark_used, remove_files
from callsheet.comfyui.server_process import OnLine, ServerProcess
from callsheet.domain.errors import ProviderUnreachable
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_READY_POLL_INTERVAL = 0.25
_CLEANING_INTERVAL = 3600.0


class ManagedServer:
    """Runs at most one ComfyUI process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = code_folder(settings)
        self._lock = asyncio.Lock()
        self._process: ServerProcess | None = None
        self._process_task: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_task: asyncio.Task[None] | None = None
        self._active_jobs = 0
        self._listeners: set[OnLine] = set()
        self._next_cleaning = 0.0
        self.start_count = 0
        """Processes started so far."""

    @property
    def process(self) -> ServerProcess | None:
        """The running process."""
        return None if self._process is None or self._process.exited.is_set() else self._process

    @property
    def is_ready(self) -> bool:
        """Whether the running process responds."""
        return self.process is not None and self.process.ready

    @asynccontextmanager
    async def use(self, on_line: OnLine) -> AsyncGenerator[ServerProcess, None]:
        """Keep the server running for one job, which gets the server's output line by line.

        Raises ConfigurationError when the settings do not allow a start, ProviderUnreachable when the process exits
        or does not respond in time.
        """
        self._active_jobs += 1
        self._listeners.add(on_line)
        await self._remove_old_files()
        try:
            yield await self._ensure_running()
        finally:
            self._listeners.discard(on_line)
            self._active_jobs -= 1
            self._start_idle_timer()

    async def stop(self, reason: str) -> None:
        """End the process, if it runs."""
        async with self._lock:
            await self._stop(reason)

    async def close(self) -> None:
        """End the process, and the timers that would end it when idle."""
        self._cancel_idle_timer()
        await self.stop("the worker stops")

    async def _stop(self, reason: str) -> None:
        if self._process_task is None:
            return
        log.info("managed ComfyUI is stopped", reason=reason)
        if self._process is not None:
            self._process.ready = False
        self._process_task.cancel()
        await asyncio.gather(self._process_task, return_exceptions=True)
        self._process_task = None

    async def mark_used(self, uploads: Iterable[str]) -> None:
        """Keep uploaded files that a job uses, as nodes name them."""
        await asyncio.to_thread(mark_used, managed_base(self._settings), uploads)

    async def _remove_old_files(self) -> None:
        """Remove old files of jobs, at most once an hour."""
        if time.monotonic() < self._next_cleaning:
            return
        self._next_cleaning = time.monotonic() + _CLEANING_INTERVAL
        seconds = self._settings.comfyui_keep_files_for.total_seconds()
        found = await asyncio.to_thread(find_old_files, managed_base(self._settings), seconds=seconds)
        removed = await asyncio.to_thread(remove_files, found)
        if removed:
            log.info(
                "old files of the managed ComfyUI removed",
                entries=len(removed),
                bytes=sum(each.bytes for each in removed),
            )

    async def _ensure_running(self) -> ServerProcess:
        self._cancel_idle_timer()
        async with self._lock:
            if self.process is None or not self.process.ready:
                await self._stop("it does not respond")
                await self._start()
            assert self._process is not None  # noqa: S101 - just started
            return self._process

    async def _start(self) -> None:
        if self._process is not None and self._process.exit_code is not None:
            log.warning("managed ComfyUI is restarted", reason=self._process.exit_reason())
        command, process = await build_command(self._settings, self._folder)
        self._process = process
        self.start_count += 1
        self._process_task = asyncio.create_task(process.run(command, self._folder, self._on_line), name="comfyui")
        timeout = self._settings.comfyui_start_timeout.total_seconds()
        try:
            async with asyncio.timeout(timeout) as limit:
                await self._wait_until_ready(process)
        except TimeoutError:
            if not limit.expired():
                raise
            await self._stop("it did not start in time")
            raise ProviderUnreachable(
                f"The managed ComfyUI did not respond within {timeout:g} s of its start; {process.describe_output()}"
            ) from None
        except asyncio.CancelledError:
            await self._stop("the job that started it was stopped")
            raise
        log.info("managed ComfyUI is ready", url=process.url)

    async def _wait_until_ready(self, process: ServerProcess) -> None:
        async with ComfyUIClient(process.url, timeout=10.0) as client:
            while True:
                if process.exited.is_set():
                    raise ProviderUnreachable(process.exit_reason(), exit_status=process.exit_code)
                try:
                    system = (await client.system_stats()).get("system") or {}
                except ProviderUnreachable:
                    system = {}
                # ComfyUI finds a used port only at the end of its start; until then another server may respond here.
                if (system.get("argv") or [])[1:] == process.argv:
                    process.ready = True
                    return
                await asyncio.sleep(_READY_POLL_INTERVAL)

    def _on_line(self, line: str) -> None:
        for listener in tuple(self._listeners):
            listener(line)

    def _start_idle_timer(self) -> None:
        if self._active_jobs == 0 and self.process is not None:
            delay = min(self._settings.comfyui_free_after, self._settings.comfyui_stop_after).total_seconds()
            # A timer, not a task: this also runs while the event loop is being closed.
            self._idle_timer = asyncio.get_running_loop().call_later(delay, self._start_idle_task, self.process)

    def _start_idle_task(self, process: ServerProcess) -> None:
        self._idle_task = asyncio.create_task(self._on_idle(process), name="comfyui idle")

    def _cancel_idle_timer(self) -> None:
        for waiting in (self._idle_timer, self._idle_task):
            if waiting is not None:
                waiting.cancel()

    async def _on_idle(self, process: ServerProcess) -> None:
        """Free the memory after `comfyui_free_after`, and stop the process after `comfyui_stop_after`."""
        remaining = (self._settings.comfyui_stop_after - self._settings.comfyui_free_after).total_seconds()
        if remaining > 0:
            started = time.monotonic()
            await self._free_memory(process)
            await asyncio.sleep(max(0.0, remaining - (time.monotonic() - started)))
        await self.stop("it is idle")

    async def _free_memory(self, process: ServerProcess) -> None:
        async with ComfyUIClient(process.url, timeout=60.0) as client:
            try:
                await client.free_memory()
            except ProviderUnreachable as error:
                log.warning("managed ComfyUI did not free its memory", reason=error.message)
