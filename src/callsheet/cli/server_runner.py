"""The web server of an open house, with what runs beside it, until it is stopped."""

import asyncio
import socket
from collections.abc import Mapping

from callsheet.api.app import create_app
from callsheet.api.server import Server, make_server
from callsheet.cli.loop import on_stop_signals
from callsheet.cli.printing import say
from callsheet.cli.supervising import supervisor_of
from callsheet.domain.errors import SetupError
from callsheet.operation.catalog import Catalog
from callsheet.processes.supervisor import Supervisor
from callsheet.settings import Settings
from callsheet.wiring import House, open_house


async def serve_house(settings: Settings, catalog: Catalog, *, lanes: list[str] | None, env: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; `lanes` are the arguments of the child that runs jobs, None for no child.

    Returns the exit status. Raises SetupError when the address is taken.
    """
    with _listening(settings) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        async with open_house(settings, catalog, migrate=lanes is not None) as house:
            supervisor = supervisor_of(settings, house.database, lanes, env) if lanes is not None else None
            server = make_server(create_app(house), host=settings.host, port=settings.port)
            return await _until_stopped(house, server, supervisor, listener)


async def _until_stopped(house: House, server: Server, supervisor: Supervisor | None, listener: socket.socket) -> int:
    def stop() -> None:
        server.force_exit, server.should_exit = server.should_exit, True
        if supervisor is not None:
            supervisor.stop()

    on_stop_signals(stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="server")
    sending = asyncio.create_task(house.messenger().run(), name="messenger")
    working = asyncio.create_task(supervisor.run(), name="lanes") if supervisor is not None else None
    _announce(house, working is not None)
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


def _announce(house: House, working: bool) -> None:
    settings = house.settings
    say(f"Callsheet listens at {house.base_url}" + (" (with an API key)" if settings.api_key else ""))
    say(f"  console     {house.base_url}/")
    say(f"  API         {house.base_url}/docs")
    say(f"  database    {'that of DATABASE_URL' if settings.database_url else f'embedded, in {settings.data_dir}'}")
    say(f"  files       {f'bucket {settings.s3_bucket}' if settings.s3_bucket else settings.files_dir}")
    jobs = "run here: Ctrl-C lets them end, a second one hands them back" if working else "not run here"
    say(f"  jobs        {jobs}")


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise SetupError(
            f"Cannot listen at {settings.host} port {settings.port}: {error}. Stop what listens there, or choose "
            "another by --port."
        ) from None
