"""Runs the API server, the webhook sender and, for `up`, the worker, until a stop signal."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

from callsheet.api.app import create_app
from callsheet.api.bind_check import require_api_key_beyond_loopback
from callsheet.api.server import Server, make_server
from callsheet.api.starting_app import StartingApp
from callsheet.cli.listener import bind
from callsheet.cli.loop import on_drain_signals, on_stop_signals
from callsheet.cli.printing import say
from callsheet.cli.worker import worker_supervisor
from callsheet.db.connection_budget import warn_about_connections
from callsheet.db.statements import sql
from callsheet.intake.contract import Intake
from callsheet.intake.runner import IntakeRunner
from callsheet.operation_api.catalog import Catalog
from callsheet.processes.garbage_collection import collect_garbage_less_often
from callsheet.processes.supervisor import Supervisor
from callsheet.settings import Settings
from callsheet.wiring import Runtime, open_runtime

_WITH_WORKER = "run here; Ctrl-C lets running jobs end, a second Ctrl-C returns them to their queues"
_WITHOUT_WORKER = "not run here; start `callsheet worker`"

_CANCEL_TIMEOUT = 5.0
"""Seconds for cancelled tasks to end."""
_SWITCH_INTERVAL = 0.0005
"""Seconds. A request takes turns with the thread several times; with the default of Python, 5 ms each."""


async def serve_runtime(
    settings: Settings,
    catalog: Catalog,
    *,
    worker_args: list[str] | None,
    env: Mapping[str, str],
    intakes: Sequence[type[Intake]] = (),
) -> int:
    """Serve until SIGTERM or SIGINT. `worker_args` are the arguments of the worker process; None starts no worker.

    `intakes` run in this process.

    While the database does not respond, the server waits for it, and responds that it is not ready.

    Returns the exit status. Raises ConfigurationError if the port is in use, and without an API key beyond loopback.
    """
    with bind(settings.host, settings.port) as listener:
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        starting = StartingApp()
        server = make_server(starting, settings)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="server")
        try:
            async with open_runtime(
                settings, catalog, migrate=worker_args is not None, wait=True, on_wait=starting.set_reason
            ) as runtime:
                has_keys = await runtime.database.retry(sql.has_access_rules)
                require_api_key_beyond_loopback(settings, has_keys=has_keys)
                await runtime.store_defined_schedules()
                await warn_about_connections(runtime.database, pool_size=settings.database_pool_size)
                app = create_app(runtime)
                supervisor = (
                    worker_supervisor(settings, runtime.database, worker_args, env) if worker_args is not None else None
                )
                if supervisor is not None:
                    app.state.worker_trouble = lambda: supervisor.trouble
                starting.app = server.callsheet = app
                # The thread that checks large plans gives way to the event loop after this time.
                sys.setswitchinterval(_SWITCH_INTERVAL)
                collect_garbage_less_often()
                runners = [IntakeRunner(kind, runtime) for kind in intakes]
                return await _until_stopped(runtime, server, supervisor, serving, runners)
        finally:
            server.stop()
            await asyncio.wait({serving})


async def _until_stopped(
    runtime: Runtime,
    server: Server,
    supervisor: Supervisor | None,
    serving: "asyncio.Task[None]",
    runners: Sequence[IntakeRunner],
) -> int:
    def stop() -> None:
        server.force_exit, server.should_exit = server.should_exit, True
        if supervisor is not None:
            supervisor.stop()
        for runner in runners:
            runner.stop()

    on_stop_signals(stop)
    if supervisor is not None:
        on_drain_signals(supervisor.drain, supervisor.recycle)
    sending = asyncio.create_task(runtime.webhook_sender().run(), name="webhook sender")
    periodic = asyncio.create_task(runtime.run_server_tasks(), name="server tasks")
    working = asyncio.create_task(supervisor.run(), name="worker") if supervisor is not None else None
    receiving = [asyncio.create_task(runner.run(), name="intake") for runner in runners]
    _print_summary(runtime, runs_jobs=working is not None)
    try:
        running = _tasks(serving, sending, periodic, working, *receiving)
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        if done == {working} and working is not None and working.result() == 0 and not server.should_exit:
            say("The worker has ended as requested; API and console go on.")
            running.remove(working)
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not server.should_exit:
            stop()
        sending.cancel()
        periodic.cancel()
        await asyncio.wait(_tasks(serving, working, *receiving))
        # A transaction that is rolled back waits for a silent database; the end of its connection ends it.
        await asyncio.wait(_tasks(sending, periodic), timeout=_CANCEL_TIMEOUT)
    for task in _tasks(serving, sending, periodic, *receiving):
        if task.done() and not task.cancelled():
            task.result()
    return working.result() if working is not None else 0


def _tasks(*tasks: "asyncio.Task[None] | asyncio.Task[int] | None") -> "list[asyncio.Task[None] | asyncio.Task[int]]":
    return [task for task in tasks if task is not None]


def _print_summary(runtime: Runtime, *, runs_jobs: bool) -> None:
    settings = runtime.settings
    say(f"Callsheet listens at {runtime.base_url}" + (" (with an API key)" if settings.api_key else ""))
    say(f"  console     {runtime.base_url}/")
    say(f"  API         {runtime.base_url}/docs")
    say(f"  database    {'DATABASE_URL' if settings.database_url else f'embedded, in {settings.data_dir}'}")
    say(f"  files       {f'bucket {settings.s3_bucket}' if settings.s3_bucket else settings.files_dir}")
    say(f"  jobs        {_WITH_WORKER if runs_jobs else _WITHOUT_WORKER}")
