"""The web server of an open runtime, with what runs beside it, until it is stopped."""

import asyncio
import socket
from collections.abc import Mapping

from callsheet.api.app import create_app
from callsheet.api.server import Server, make_server
from callsheet.cli.loop import on_stop_signals
from callsheet.cli.printing import say
from callsheet.cli.supervising import supervisor_of
from callsheet.domain.errors import ConfigurationError
from callsheet.operation.catalog import Catalog
from callsheet.processes.supervisor import Supervisor
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime


async def serve_runtime(
    settings: Settings, catalog: Catalog, *, lanes: list[str] | None, env: Mapping[str, str]
) -> int:
    """Serve until SIGTERM or SIGINT; `lanes` are the arguments of the child that runs jobs, None for no child.

    Returns the exit status. Raises ConfigurationError when the address is taken.
    """
    with _listening(settings) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        async with open_runtime(settings, catalog, migrate=lanes is not None) as runtime:
            supervisor = supervisor_of(settings, runtime.database, lanes, env) if lanes is not None else None
            server = make_server(create_app(runtime), host=settings.host, port=settings.port)
            return await _until_stopped(runtime, server, supervisor, listener)


async def _until_stopped(
    runtime: Runtime, server: Server, supervisor: Supervisor | None, listener: socket.socket
) -> int:
    def stop() -> None:
        server.force_exit, server.should_exit = server.should_exit, True
        if supervisor is not None:
            supervisor.stop()

    on_stop_signals(stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="server")
    sending = asyncio.create_task(runtime.webhook_sender().run(), name="messenger")
    working = asyncio.create_task(supervisor.run(), name="lanes") if supervisor is not None else None
    _announce(runtime, working is not None)
    try:
        await asyncio.wait(_tasks(serving, sending, working), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not server.should_exit:
            stop()
        sending.cancel()
        await asyncio.wait(_tasks(serving, sending, working))
    for task in _tasks(serving, sending):
        if not task.cancelled():
            task.result()
    return working.result() if working is not None else 0


def _tasks(*tasks: "asyncio.Task[None] | asyncio.Task[int] | None") -> "list[asyncio.Task[None] | asyncio.Task[int]]":
    return [task for task in tasks if task is not None]


def _announce(runtime: Runtime, working: bool) -> None:
    settings = runtime.settings
    say(f"Callsheet listens at {runtime.base_url}" + (" (with an API key)" if settings.api_key else ""))
    say(f"  console     {runtime.base_url}/")
    say(f"  API         {runtime.base_url}/docs")
    say(f"  database    {'that of DATABASE_URL' if settings.database_url else f'embedded, in {settings.data_dir}'}")
    say(f"  files       {f'bucket {settings.s3_bucket}' if settings.s3_bucket else settings.files_dir}")
    jobs = "run here: Ctrl-C lets them end, a second one hands them back" if working else "not run here"
    say(f"  jobs        {jobs}")


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"Cannot listen at {settings.host} port {settings.port}: {error}. Stop what listens there, or choose "
            "another by --port."
        ) from None
