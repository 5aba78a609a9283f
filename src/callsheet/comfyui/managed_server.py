"""A ComfyUI that a worker runs itself: started for the first job, watched, stopped when it is idle."""

import asyncio
import os
import shlex
import shutil
import signal
import socket
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import structlog

from callsheet.comfyui.client import ComfyUI
from callsheet.domain.errors import ConfigurationError, PromptLost, ProviderUnreachable
from callsheet.processes.child import ProcessLimits, child_environment, start_child
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

_UNLIMITED = ProcessLimits(file_bytes=None)
_LAST_LINES = 12
_BETWEEN_LOOKS = 0.25
_HELP_SECONDS = 60.0
_FLAG_ALONE = ""

Hear = Callable[[str], None]


@dataclass(slots=True)
class ServerProcess:
    """One process, from its start to its end."""

    id: str
    """No two processes have the same."""
    url: str
    argv: list[str]
    """As it tells them itself, so that another server on the same port is not taken for it."""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None
    ready: bool = False

    def reason(self) -> str:
        """Say how it ended, with the last that it said."""
        code = self.code or 0
        how = f"with signal {-code}" if code < 0 else f"with exit status {code}"
        if code == -signal.SIGKILL:
            how += " (killed by somebody, or by the system because memory ran out)"
        return f"Our own ComfyUI ended {how}; it said last: {' | '.join(self.last) or 'nothing'}"

    def check(self) -> None:
        """Raise PromptLost, with the reason, once the process has ended."""
        if self.ended.is_set():
            raise PromptLost(self.reason())


class ManagedServer:
    """Keeps at most one ComfyUI running."""

    def __init__(self, settings: Settings) -> None:
        assert settings.comfyui_path is not None  # noqa: S101 - there is no child without it
        self._settings = settings
        self._folder = settings.comfyui_path.expanduser().absolute()
        self._lock = asyncio.Lock()
        self._life: ServerProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._jobs = 0
        self._hearers: set[Hear] = set()
        self.starts = 0
        """Processes that were started so far."""

    @property
    def process(self) -> ServerProcess | None:
        """The process that runs now."""
        return None if self._life is None or self._life.ended.is_set() else self._life

    @asynccontextmanager
    async def in_use(self, hear: Hear) -> AsyncGenerator[ServerProcess, None]:
        """Have it running, for one job, which hears its log meanwhile.

        Raises ConfigurationError when it cannot be started like this, ProviderUnreachable when it ends or does not answer.
        """
        self._jobs += 1
        self._hearers.add(hear)
        try:
            yield await self._running()
        finally:
            self._hearers.discard(hear)
            self._jobs -= 1
            self._rest_if_idle()

    async def stop(self, reason: str) -> None:
        """End the process, if there is one."""
        async with self._lock:
            await self._stop(reason)

    async def _stop(self, reason: str) -> None:
        if self._keeper is None:
            return
        log.info("our own ComfyUI is stopped", reason=reason)
        if self._life is not None:
            self._life.ready = False
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._keeper = None

    async def _running(self) -> ServerProcess:
        self._end_rest()
        async with self._lock:
            if self.process is None or not self.process.ready:
                await self._stop("it does not answer")
                await self._start()
            assert self._life is not None  # noqa: S101 - just started
            return self._life

    async def _start(self) -> None:
        if self._life is not None and self._life.code is not None:
            log.warning("our own ComfyUI is started anew", reason=self._life.reason())
        command, life = await self._prepared()
        self._life = life
        self.starts += 1
        self._keeper = asyncio.create_task(self._keep(command, life), name="comfyui")
        try:
            async with asyncio.timeout(self._settings.comfyui_start_timeout.total_seconds()) as limit:
                await self._ready(life)
        except TimeoutError:
            if not limit.expired():
                raise
            await self._stop("it did not start in time")
            raise ProviderUnreachable(
                f"Our own ComfyUI did not answer within {self._settings.comfyui_start_timeout.total_seconds():g} s "
                f"of its start; it said last: {' | '.join(life.last) or 'nothing'}"
            ) from None
        except asyncio.CancelledError:
            await self._stop("the job that needed it was stopped")
            raise
        log.info("our own ComfyUI answers", url=life.url)

    async def _ready(self, life: ServerProcess) -> None:
        async with ComfyUI(life.url, timeout=10.0) as comfy:
            while True:
                if life.ended.is_set():
                    raise ProviderUnreachable(life.reason(), exit_status=life.code)
                try:
                    told = (await comfy.stats()).get("system") or {}
                except ProviderUnreachable:
                    told = {}
                if (told.get("argv") or [])[1:] == life.argv:
                    life.ready = True
                    return
                await asyncio.sleep(_BETWEEN_LOOKS)

    async def _prepared(self) -> tuple[list[str], ServerProcess]:
        """Make its folders, and return what starts it."""
        program, python = self._folder / "main.py", self._python()
        if not program.is_file():
            raise ConfigurationError(f"There is no ComfyUI in {self._folder}: main.py is missing (COMFYUI_PATH).")
        base = (self._settings.comfyui_base_dir or self._settings.data_dir / "comfyui").expanduser().absolute()
        own = self._settings.scratch_dir / f"comfyui-{uuid4().hex[:12]}"
        for folder in (base / "custom_nodes", base / "user", base / "models", own / "front"):
            folder.mkdir(parents=True, exist_ok=True)
        port = _free_port()
        # An unknown flag is fatal, and flags come and go with the versions.
        known = await self._help(python)
        wanted = {
            "--listen": "127.0.0.1",
            "--port": str(port),
            "--base-directory": str(base),
            "--temp-directory": str(own),
            "--database-url": f"sqlite:///{own}/comfyui.db",
            "--front-end-root": str(own / "front"),
            "--disable-auto-launch": _FLAG_ALONE,
        }
        flags = [word for flag, value in wanted.items() if flag in known for word in (flag, value) if word]
        argv = [*flags, *shlex.split(self._settings.comfyui_args)]
        life = ServerProcess(own.name, f"http://127.0.0.1:{port}", argv)
        return [str(python), "main.py", *argv], life

    def _python(self) -> Path:
        if self._settings.comfyui_python is not None:
            return self._settings.comfyui_python.expanduser().absolute()
        for name in (".venv", "venv"):
            if (found := self._folder / name / "bin" / "python").exists():
                return found
        python = shutil.which("python3")
        if python is None:
            raise ConfigurationError("There is no Python for our own ComfyUI; set CALLSHEET_COMFYUI_PYTHON.")
        return Path(python)

    async def _help(self, python: Path) -> str:
        try:
            async with start_child(
                [str(python), "main.py", "--help"], cwd=self._folder, env=child_environment(), limits=_UNLIMITED
            ) as process:
                async with asyncio.timeout(_HELP_SECONDS):
                    out, err = await process.communicate()
        except TimeoutError:
            raise ProviderUnreachable(f"ComfyUI in {self._folder} did not tell its flags in time.") from None
        except OSError as error:
            raise ConfigurationError(
                f"{python} cannot be started for our own ComfyUI: {os.strerror(error.errno or 0)}"
            ) from None
        if process.returncode != 0:
            raise ConfigurationError(
                f"ComfyUI in {self._folder} cannot be started: {err.decode(errors='replace')[-500:].strip()}"
            )
        return out.decode(errors="replace")

    async def _keep(self, command: list[str], life: ServerProcess) -> None:
        """Hold the process while it lives; its pipes are read all the time, or it would stand still."""
        folder = self._settings.scratch_dir / life.id
        try:
            async with start_child(command, cwd=self._folder, env=child_environment(), limits=_UNLIMITED) as process:
                assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
                await asyncio.gather(self._read(process.stdout, life), self._read(process.stderr, life))
                life.code = await process.wait()
        finally:
            life.ended.set()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _read(self, pipe: asyncio.StreamReader, life: ServerProcess) -> None:
        rest = b""
        while piece := await pipe.read(16 * 1024):
            # Progress bars go back to the beginning of their line, and end it only at the end.
            *lines, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
            rest = rest[-4096:]
            for line in lines:
                self._say(line.decode(errors="replace").strip(), life)
        self._say(rest.decode(errors="replace").strip(), life)

    def _say(self, line: str, life: ServerProcess) -> None:
        if line:
            life.last.append(line[:500])
            for hear in tuple(self._hearers):
                hear(line[:500])

    def _rest_if_idle(self) -> None:
        if self._jobs == 0 and self.process is not None:
            wait = min(self._settings.comfyui_free_after, self._settings.comfyui_stop_after).total_seconds()
            # A timer, not a task: this is also reached while the event loop is being closed.
            self._timer = asyncio.get_running_loop().call_later(wait, self._begin_rest, self.process)

    def _begin_rest(self, life: ServerProcess) -> None:
        self._resting = asyncio.create_task(self._rest(life), name="comfyui idle")

    def _end_rest(self) -> None:
        for waiting in (self._timer, self._resting):
            if waiting is not None:
                waiting.cancel()

    async def _rest(self, life: ServerProcess) -> None:
        """Give memory back after a while without jobs, and end the process after a longer one."""
        left = (self._settings.comfyui_stop_after - self._settings.comfyui_free_after).total_seconds()
        if left > 0:
            begun = time.monotonic()
            await self._free(life)
            await asyncio.sleep(max(0.0, left - (time.monotonic() - begun)))
        await self.stop("no job needs it")

    async def _free(self, life: ServerProcess) -> None:
        async with ComfyUI(life.url, timeout=60.0) as comfy:
            try:
                await comfy.free()
            except ProviderUnreachable as error:
                log.warning("our own ComfyUI did not free its memory", reason=error.message)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
