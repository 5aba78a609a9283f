"""`callsheet up` and `callsheet serve`: the API server, with or without a worker."""

from collections.abc import Mapping
from typing import Annotated

import typer

from callsheet.cli.options import DatabaseUrl, DataDir, HoldSubmissions, Host, Import, Port


def up(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    modules: Import = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="LANES", help="Slots per queue, such as render=2,preview=4 (CALLSHEET_LANES)"),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    intakes: Annotated[
        list[str] | None,
        typer.Option("--intake", metavar="NAME", help="Also run this intake, such as bullmq; can be repeated"),
    ] = None,
    hold_submissions: HoldSubmissions = False,
    reload: Annotated[
        bool,
        typer.Option(
            "--reload", help="For development: restart when a Python file or .env changes here or beside a module"
        ),
    ] = False,
) -> None:
    """Run everything on this machine: database, API, console, worker and webhooks.

    The worker is a child process. If a job crashes it, it is restarted; the API stays up. At SIGTERM or Ctrl-C, running
    jobs may end within the grace period; at a second signal, they are returned to their queues at once.
    """
    from callsheet.cli.worker import worker_arguments

    options = {
        "host": host,
        "port": port,
        "data_dir": data_dir,
        "database_url": database_url,
        "hold_submissions": hold_submissions or None,
    }
    worker_args = worker_arguments(None, concurrency, modules, verbose=context.obj)
    if reload:
        _run_reloading(options, modules, concurrency, intakes, verbose=context.obj)
    _run_server(options, modules, worker_args=worker_args, intakes=intakes, verbose=context.obj)


def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    modules: Import = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Run API, console and webhooks. Jobs need `callsheet worker`, on this machine or another."""
    options = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    _run_server(options, modules, worker_args=None, verbose=context.obj)


def _run_server(
    options: Mapping[str, object],
    modules: list[str] | None,
    *,
    worker_args: list[str] | None,
    intakes: list[str] | None = None,
    verbose: bool,
) -> None:
    from callsheet.cli.bootstrap import child_environment, configure_command_logging, discover_operations, load_settings
    from callsheet.cli.loop import cancelled_by_sigterm, run_async
    from callsheet.cli.server_runner import serve_runtime
    from callsheet.cli.telemetry import telemetry
    from callsheet.intake.catalog import load_intake
    from callsheet.processes.lifeline import Lifeline

    settings = load_settings(**options)
    # With --reload, this process ends when its parent dies.
    Lifeline.from_environment(grace=settings.grace_period.total_seconds())
    configure_command_logging(settings, verbose=verbose)
    catalog = discover_operations(modules)
    serving = serve_runtime(
        settings,
        catalog,
        worker_args=worker_args,
        env=child_environment(**options),
        intakes=[load_intake(name) for name in intakes or ()],
    )
    with telemetry(settings):
        code = run_async(cancelled_by_sigterm(serving))
    raise typer.Exit(code)


def _run_reloading(
    options: Mapping[str, object],
    modules: list[str] | None,
    concurrency: str | None,
    intakes: list[str] | None,
    *,
    verbose: bool,
) -> None:
    import socket

    from callsheet.cli.bootstrap import child_environment, configure_command_logging, load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.reload import serve_reloading

    settings = load_settings(**options)
    configure_command_logging(settings, verbose=verbose)
    port = settings.port
    if port == 0:
        # The same port after each restart.
        with socket.create_server((settings.host, 0)) as free:
            port = free.getsockname()[1]
    arguments = [*(["-v"] if verbose else []), "up", *(["--concurrency", concurrency] if concurrency else [])]
    arguments += [part for module in modules or () for part in ("--import", module)]
    arguments += [part for name in intakes or () for part in ("--intake", name)]
    env = child_environment(**{**options, "port": port})
    raise typer.Exit(run_async(serve_reloading(settings, arguments, env, modules or ())))
