"""`callsheet up` and `callsheet serve`: the web server, with lanes beside it or without."""

from collections.abc import Mapping
from typing import Annotated

import typer

from callsheet.cli.options import DatabaseUrl, DataDir, Host, Import, Port


def up(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    modules: Import = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="LANES", help="Jobs of a queue at once, as in render=2,preview=4 (CALLSHEET_LANES)"),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Run everything on this machine: database, API, console, lanes, webhooks.

    The lanes run in a child process that is started again should a job crash it; the API stays up meanwhile. SIGTERM or
    Ctrl-C lets running jobs end within the grace period; a second one hands them back at once.
    """
    from callsheet.cli.worker import worker_arguments

    given = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    lanes = worker_arguments(None, concurrency, modules, verbose=context.obj)
    _serve(given, modules, lanes=lanes, verbose=context.obj)


def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    modules: Import = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Run API, console and webhooks only; jobs are run by `callsheet worker`, here or elsewhere."""
    given = {"host": host, "port": port, "data_dir": data_dir, "database_url": database_url}
    _serve(given, modules, lanes=None, verbose=context.obj)


def _serve(given: Mapping[str, object], modules: list[str] | None, *, lanes: list[str] | None, verbose: bool) -> None:
    from callsheet.api.bind_check import require_api_key_beyond_loopback
    from callsheet.cli.bootstrap import catalog_of, environment_of, load_settings, log_as
    from callsheet.cli.loop import run_async
    from callsheet.cli.server_runner import serve_runtime

    settings = load_settings(**given)
    log_as(settings, verbose=verbose)
    require_api_key_beyond_loopback(settings)
    code = run_async(serve_runtime(settings, catalog_of(modules), lanes=lanes, env=environment_of(**given)))
    raise typer.Exit(code)
