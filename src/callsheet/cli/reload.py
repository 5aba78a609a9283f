"""`callsheet up --reload`: restarts the server and its worker when Python files change."""

import asyncio
import contextlib
import importlib.util
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from callsheet.cli.loop import on_stop_signals
from callsheet.cli.printing import say
from callsheet.domain.errors import ConfigurationError
from callsheet.processes.lifeline import LIFELINE
from callsheet.settings import Settings
from callsheet.wiring import open_database

_STOPS_BEFORE_KILL = 3


class Reloader:
    """Runs `callsheet` with these arguments in a child process, again after each change of a Python file."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], folders: Iterable[Path], ignored: Path
    ) -> None:
        """Watch folders with their subfolders, except `ignored`."""
        self._arguments = arguments
        self._env = env
        self._folders = list(folders)
        self._ignored = ignored
        self._child: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._stops = 0

    def stop(self) -> None:
        """Ask the child to stop. A second call makes it return its jobs at once, a third one kills it."""
        self._stops += 1
        self._stopping.set()
        self._signal(signal.SIGTERM if self._stops < _STOPS_BEFORE_KILL else signal.SIGKILL)

    async def run(self) -> int:
        """Run until `stop` is called. Return the exit status of the last child."""
        changes: asyncio.Queue[list[str]] = asyncio.Queue()
        watching = asyncio.create_task(self._watch(changes), name="file watcher")
        try:
            while True:
                code = await self._run_until_change(changes, watching)
                if self._stopping.is_set():
                    return code
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _run_until_change(self, changes: "asyncio.Queue[list[str]]", watching: "asyncio.Task[None]") -> int:
        child = asyncio.create_task(self._run_child(), name="server")
        change = asyncio.create_task(changes.get())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({child, change, stop, watching}, return_when=asyncio.FIRST_COMPLETED)
            if child.done() and not self._stopping.is_set():
                say("The server has ended. It starts again after the next change.")
                await asyncio.wait({change, stop, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                self._signal(signal.SIGTERM)
                if change.done():
                    say(f"Changed: {', '.join(change.result())}. Restarting; running jobs may end.")
            code = await child
            if watching.done() and not self._stopping.is_set():
                watching.result()
            return code
        finally:
            change.cancel()
            stop.cancel()

    async def _run_child(self) -> int:
        # When this process dies, its end of the lifeline closes, and the child ends as well.
        parent_end, child_end = socket.socketpair()
        with parent_end:
            with child_end:
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "callsheet",
                    *self._arguments,
                    env={**self._env, LIFELINE: str(child_end.fileno())},
                    pass_fds=(child_end.fileno(),),
                    start_new_session=True,
                )
            return await self._child.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def _watch(self, changes: "asyncio.Queue[list[str]]") -> None:
        from watchfiles import DefaultFilter, awatch

        ignore = DefaultFilter(ignore_paths=[self._ignored])

        def is_code(change: object, path: str) -> bool:
            return (path.endswith(".py") or Path(path).name == ".env") and ignore(change, path)  # type: ignore[arg-type]

        async for found in awatch(*self._folders, watch_filter=is_code, stop_event=self._stopping):
            await changes.put(sorted({Path(path).name for _, path in found}))


async def serve_reloading(
    settings: Settings, arguments: Sequence[str], env: Mapping[str, str], modules: Iterable[str]
) -> int:
    """Run a server that restarts after changes, until SIGTERM or SIGINT. The database keeps running meanwhile."""
    if importlib.util.find_spec("watchfiles") is None:
        raise ConfigurationError("--reload needs the package watchfiles: pip install 'callsheet[reload]'")
    folders = {Path.cwd(), *filter(None, map(_folder_of, modules))}
    async with open_database(settings, migrate=True):
        reloader = Reloader(arguments, env, sorted(folders), settings.data_dir.absolute())
        on_stop_signals(reloader.stop)
        say(f"Watching Python files in {', '.join(map(str, sorted(folders)))}")
        return await reloader.run()


def _folder_of(module: str) -> Path | None:
    """Return the folder of a module or .py file; None for one that cannot be found, which the child reports."""
    if module.endswith(".py"):
        return Path(module).resolve().parent
    sys.path.insert(0, str(Path.cwd()))
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return None
    finally:
        sys.path.pop(0)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
