"""`callsheet worker`: lanes that run jobs, in a child process that is started again when it dies."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from callsheet.cli.options import DatabaseUrl, DataDir, Import

if TYPE_CHECKING:
    from callsheet.settings import Settings


def worker(
    context: typer.Context,
    queues: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Queues to serve, as in render,preview; all that the operations name if unset"
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="LANES", help="Jobs of a queue at once, as in render=2,preview=4 (CALLSHEET_LANES)"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of this worker: %h is the host, %p the process id (CALLSHEET_WORKER_NAME)")
    ] = None,
    modules: Import = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    supervise: Annotated[
        bool, typer.Option(help="Watch over the lanes from a parent process, which starts them again should they die")
    ] = True,
    worker_id: Annotated[str | None, typer.Option("--id", hidden=True)] = None,
) -> None:
    """Run the jobs of some queues until stopped.

    SIGTERM or Ctrl-C: take no more jobs, let those that run end within the grace period, hand the rest back unharmed.
    A second one hands them back at once.
    """
    from callsheet.cli.bootstrap import environment_of, load_settings, log_as

    given = {"data_dir": data_dir, "database_url": database_url, "worker_name": name}
    settings = load_settings(**given)
    log_as(settings, verbose=context.obj)
    if supervise:
        arguments = worker_arguments(queues, concurrency, modules, verbose=context.obj)
        code = _supervise(settings, arguments, environment_of(**given))
        raise typer.Exit(code)
    _work(settings, queues, concurrency, modules, UUID(worker_id) if worker_id else None)


def worker_arguments(
    queues: str | None, concurrency: str | None, modules: list[str] | None, *, verbose: bool
) -> list[str]:
    """Return the arguments of the child process that does the work."""
    words = ["--queues", queues] if queues else []
    words += ["--concurrency", concurrency] if concurrency else []
    words += [word for module in modules or () for word in ("--import", module)]
    return [*(["-v"] if verbose else []), "worker", "--no-supervise", *words]


def _supervise(settings: "Settings", arguments: list[str], env: dict[str, str]) -> int:
    from callsheet.cli.loop import on_stop_signals, run_async
    from callsheet.cli.supervising import supervisor_of
    from callsheet.wiring import open_database

    async def watch_over() -> int:
        async with open_database(settings, migrate=False) as database:
            supervisor = supervisor_of(settings, database, arguments, env)
            on_stop_signals(supervisor.stop)
            return await supervisor.run()

    return run_async(watch_over())


def _work(
    settings: "Settings",
    queues: str | None,
    concurrency: str | None,
    modules: list[str] | None,
    worker_id: UUID | None,
) -> None:
    from callsheet.cli.bootstrap import catalog_of
    from callsheet.cli.loop import on_stop_signals, run_async
    from callsheet.processes.supervisor import Lifeline
    from callsheet.wiring import open_runtime

    begun = False

    async def work() -> None:
        nonlocal begun
        catalog = catalog_of(modules)
        lanes = _lanes(settings, queues, concurrency, catalog.queues())
        async with open_runtime(settings, catalog) as runtime:
            worker = runtime.worker(lanes, id=worker_id)
            signals = iter([False])
            on_stop_signals(lambda: worker.stop(at_once=next(signals, True)))
            begun = True
            await worker.run()

    lifeline = Lifeline.from_environment(grace=settings.grace_period.total_seconds())
    try:
        run_async(work())
    except Exception:
        if not begun:
            lifeline.report_fatal()
        raise
    lifeline.report_done()


def _lanes(settings: "Settings", queues: str | None, concurrency: str | None, known: list[str]) -> dict[str, int]:
    from callsheet.domain.plan_validation import did_you_mean
    from callsheet.settings import parse_lanes
    from callsheet.wiring import select_lanes

    try:
        sizes = parse_lanes(concurrency or "")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--concurrency") from None
    names = [name.strip() for name in queues.split(",") if name.strip()] if queues else [*known, *sizes]
    for name in names:
        if name not in known:
            message = f"no operation known here waits in the queue '{name}'{did_you_mean(name, known)}"
            raise typer.BadParameter(message, param_hint="--queues" if queues else "--concurrency")
    if stray := [name for name in sizes if name not in names]:
        raise typer.BadParameter(f"{', '.join(stray)}: not among --queues", param_hint="--concurrency")
    return select_lanes(dict.fromkeys(names), sizes, settings)
