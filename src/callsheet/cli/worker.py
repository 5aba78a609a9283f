"""`callsheet worker`: a supervisor process, and the worker process that it restarts."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from callsheet.cli.gpu_workers import find_gpus, gpu_environment, gpu_lanes
from callsheet.cli.options import DatabaseUrl, DataDir, HoldSubmissions, Import

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from callsheet.db.database import Database
    from callsheet.processes.supervisor import Supervisor
    from callsheet.settings import Settings
    from callsheet.wiring import Runtime


def worker(
    context: typer.Context,
    queues: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Queues to serve, such as render,preview; unset: all queues of the operations"
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="LANES", help="Slots per queue, such as render=2,preview=4 (CALLSHEET_LANES)"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the worker; %h is the host, %p the process id (CALLSHEET_WORKER_NAME)")
    ] = None,
    modules: Import = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    hold_submissions: HoldSubmissions = False,
    max_jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Replace the worker process after N jobs; no job is interrupted by it (CALLSHEET_WORKER_MAX_JOBS)",
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Replace it likewise above this resident memory, such as 4GB (CALLSHEET_WORKER_MAX_MEMORY)",
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            metavar="GPUS",
            help="One worker process for each GPU: `all`, or some, such as 0,1. Each sees its GPU only, and serves the "
            "queue gpu with one slot; name others with --queues",
        ),
    ] = None,
    supervise: Annotated[bool, typer.Option(help="Run the worker in a child process and restart it if it dies")] = True,
    worker_id: Annotated[str | None, typer.Option("--id", hidden=True)] = None,
    follows: Annotated[list[str] | None, typer.Option("--follows", hidden=True)] = None,
) -> None:
    """Run the jobs of queues until stopped.

    At SIGTERM or Ctrl-C, the worker claims no more jobs. Running jobs may end within the grace period; then they are
    returned to their queues, and no attempt is counted. A second signal returns them at once.

    At SIGUSR1, the worker claims no more jobs, and ends after the running ones, however long they take. At SIGUSR2, a
    new process takes its place in the same way.
    """
    from callsheet.cli.bootstrap import child_environment, configure_command_logging, load_settings

    options = {
        "data_dir": data_dir,
        "database_url": database_url,
        "worker_name": name,
        "hold_submissions": hold_submissions or None,
        "worker_max_jobs": max_jobs,
        "worker_max_memory": max_memory,
    }
    settings = load_settings(**options)
    configure_command_logging(settings, verbose=context.obj)
    if not supervise:
        if gpus is not None:
            raise typer.BadParameter("needs the supervisor: leave out --no-supervise", param_hint="--gpus")
        identity = _Identity(UUID(worker_id) if worker_id else None, [UUID(each) for each in follows or ()])
        _run_worker(settings, queues, concurrency, modules, identity)
        return
    if gpus is not None:
        queues, concurrency = gpu_lanes(queues, concurrency)
    arguments = worker_arguments(queues, concurrency, modules, verbose=context.obj)
    raise typer.Exit(_run_supervisors(settings, arguments, child_environment(**options), gpus))


@dataclass(frozen=True, slots=True)
class _Identity:
    """Which worker a process is."""

    id: UUID | None
    follows: list[UUID]
    """Ids of earlier processes of the worker, which still end their jobs."""


def worker_arguments(
    queues: str | None, concurrency: str | None, modules: list[str] | None, *, verbose: bool
) -> list[str]:
    """Return the command-line arguments of the worker process."""
    options = ["--queues", queues] if queues else []
    options += ["--concurrency", concurrency] if concurrency else []
    options += [part for module in modules or () for part in ("--import", module)]
    return [*(["-v"] if verbose else []), "worker", "--no-supervise", *options]


def worker_supervisor(
    settings: "Settings", database: "Database", arguments: list[str], env: "Mapping[str, str]"
) -> "Supervisor":
    """Return a supervisor that runs `callsheet` with these arguments in a child process.

    Each child has the same name of the worker: that of `env`, else that of the settings. When the child dies, its
    worker is marked as lost in the database, so that its jobs are rescued at once.
    """
    import structlog

    from callsheet.db.outages import DATABASE_ERRORS
    from callsheet.engine.worker.heartbeat import extend_heartbeat
    from callsheet.engine.worker.loop import expand_name
    from callsheet.engine.worker.rescuer import mark_worker_lost
    from callsheet.processes.supervisor import Supervisor

    log = structlog.get_logger(__name__)

    def command(worker_id: UUID, follows: "Sequence[UUID]") -> list[str]:
        earlier = [part for each in follows for part in ("--follows", str(each))]
        return [sys.executable, "-m", "callsheet", *arguments, "--id", str(worker_id), *earlier]

    async def on_death(worker_id: UUID) -> None:
        try:
            await mark_worker_lost(database, worker_id)
        except DATABASE_ERRORS as error:
            log.warning("worker died, but could not be marked as lost; its timeout applies", error=type(error).__name__)

    async def on_silence(worker_id: UUID) -> None:
        try:
            await extend_heartbeat(database, worker_id)
        except DATABASE_ERRORS as error:
            log.warning("could not send the heartbeat of a busy worker", error=type(error).__name__)

    return Supervisor(
        command,
        env={**env, "CALLSHEET_WORKER_NAME": expand_name(env.get("CALLSHEET_WORKER_NAME") or settings.worker_name)},
        on_death=on_death,
        on_silence=on_silence,
        interval=settings.heartbeat_interval.total_seconds(),
        grace=settings.grace_period.total_seconds(),
    )


def _run_supervisors(settings: "Settings", arguments: list[str], env: dict[str, str], gpus: str | None) -> int:
    from callsheet.cli.loop import cancelled_by_sigterm, on_drain_signals, on_stop_signals, run_async
    from callsheet.db.connection_budget import SUPERVISOR_POOL
    from callsheet.processes.supervisor_group import SupervisorGroup
    from callsheet.wiring import open_database

    async def supervise() -> int:
        environments = [env] if gpus is None else await _gpu_environments(settings, env, gpus)
        of_supervisor = settings.model_copy(update={"database_pool_size": SUPERVISOR_POOL})
        async with open_database(of_supervisor, migrate=False, wait=True) as database:
            group = SupervisorGroup([worker_supervisor(settings, database, arguments, each) for each in environments])
            on_stop_signals(group.stop)
            on_drain_signals(group.drain, group.recycle)
            return await group.run()

    return run_async(cancelled_by_sigterm(supervise()))


async def _gpu_environments(settings: "Settings", env: dict[str, str], gpus: str) -> list[dict[str, str]]:
    from callsheet.engine.worker.loop import expand_name

    found = await find_gpus(gpus)
    name = expand_name(settings.worker_name)
    return [{**env, **gpu_environment(settings, gpu, place=place, name=name)} for place, gpu in enumerate(found)]


def _run_worker(
    settings: "Settings",
    queues: str | None,
    concurrency: str | None,
    modules: list[str] | None,
    identity: _Identity,
) -> None:
    from callsheet.cli.bootstrap import discover_operations
    from callsheet.cli.loop import on_drain_signals, on_stop_signals, run_async
    from callsheet.cli.telemetry import telemetry
    from callsheet.db.connection_budget import warn_about_connections
    from callsheet.engine.worker.recycling import RecyclingLimits
    from callsheet.processes.garbage_collection import collect_garbage_less_often
    from callsheet.processes.lifeline import Lifeline
    from callsheet.wiring import open_runtime

    started = False

    async def work() -> None:
        nonlocal started
        catalog = discover_operations(modules)
        lanes = _choose_lanes(settings, queues, concurrency, catalog.queues())
        # A supervisor has connected with these settings before it started this process.
        async with open_runtime(
            settings, catalog, wait=True, connected_before=lifeline.is_connected, read_replicas=False
        ) as runtime:
            pool_size = settings.database_pool_size
            await warn_about_connections(runtime.database, pool_size=pool_size, starting_workers=1)
            worker = runtime.worker(
                lanes,
                id=identity.id,
                process=lifeline,
                limits=RecyclingLimits(settings.worker_max_jobs, settings.worker_max_memory),
                follows=identity.follows,
            )
            # The first signal lets running jobs end; each later one returns them to their queues at once.
            signals = iter([False])
            on_stop_signals(lambda: worker.stop(immediately=next(signals, True)))
            on_drain_signals(worker.drain, worker.recycle)
            started = True
            async with _monitoring(runtime, follows=bool(identity.follows)):
                collect_garbage_less_often()
                await worker.run()

    lifeline = Lifeline.from_environment(grace=settings.grace_period.total_seconds())
    try:
        with telemetry(settings):
            run_async(work())
    except Exception as error:
        # A failure before the start would repeat at every restart, so the supervisor must not restart the worker.
        report = lifeline.report_failed if started else lifeline.report_fatal
        report(error)
        raise
    lifeline.report_done()


def _monitoring(runtime: "Runtime", *, follows: bool) -> "AbstractAsyncContextManager[None]":
    """Serve metrics during the block, if the settings ask for it. Only then, the web server is loaded."""
    settings = runtime.settings
    if settings.monitor_port is None and (settings.console_user is None or settings.console_password is None):
        return nullcontext()
    from callsheet.cli.monitor import monitoring

    return monitoring(runtime, follows=follows)


def _choose_lanes(
    settings: "Settings", queues: str | None, concurrency: str | None, known: list[str]
) -> dict[str, int]:
    from callsheet.domain.did_you_mean import did_you_mean
    from callsheet.domain.queues import canonical_queue
    from callsheet.settings import parse_lanes
    from callsheet.wiring import select_lanes

    try:
        sizes = parse_lanes(concurrency or "")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--concurrency") from None
    given = [name.strip() for name in (queues or "").split(",") if name.strip()]
    names = [canonical_queue(name) for name in given] if queues else [*known, *sizes]
    for name in names:
        if name not in known:
            message = f"no known operation uses the queue '{name}'{did_you_mean(name, known)}"
            raise typer.BadParameter(message, param_hint="--queues" if queues else "--concurrency")
    if unserved := [name for name in sizes if name not in names]:
        raise typer.BadParameter(f"{', '.join(unserved)}: not in --queues", param_hint="--concurrency")
    return select_lanes(dict.fromkeys(names), sizes, settings)
