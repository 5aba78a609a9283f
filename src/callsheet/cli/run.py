"""`callsheet run` and `callsheet demo`: a plan from submission to files, in this process."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Allow, DatabaseUrl, DataDir, Import, Json, PlanFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from callsheet.domain.records import Execution
    from callsheet.operation.contract import Operation
    from callsheet.settings import Settings

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", file_okay=False, help="Folder for the finished files; made if missing"),
]

_CANCELLED = "The execution is cancelled, its jobs are stopped."
_TERMINATED = 128 + 15
"""The exit status of what SIGTERM ends."""


def run(
    context: typer.Context,
    plan: PlanFile,
    out: Out = None,
    modules: Import = None,
    allow: Allow = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Run a plan here and now, with a progress bar for each job.

    Brings its own worker and, unless a database is named, its own database. Exit 0 when all went well, 1 when a job
    failed. Ctrl-C cancels the execution and stops its jobs.
    """
    from callsheet.cli.bootstrap import catalog_of
    from callsheet.cli.plans import read_plan_file

    settings = settings_for(context, data_dir, database_url)
    settings = reading_from(base_of(plan), allow, settings)
    known = catalog_of(modules).operations()
    execution = carried_out(read_plan_file(plan, settings), known, settings, out)
    report(execution, settings, places_of(execution, settings, out), as_json=as_json)


def demo(
    context: typer.Context,
    out: Out = Path("callsheet-demo"),
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a short film: dependent jobs on real media, with no keys, no GPU and no network."""
    from callsheet.cli import demo as film

    settings = settings_for(context, data_dir, database_url)
    execution = carried_out(film.plan(), film.OPERATIONS, settings, out)
    report(execution, settings, places_of(execution, settings, out), as_json=as_json)


def base_of(file: str) -> Path:
    """Return the folder that relative paths in a file start from; `-` is standard input."""
    return Path.cwd() if file == "-" else Path(file).resolve().parent


def reading_from(base: Path, allow: "Iterable[Path] | None", settings: "Settings") -> "Settings":
    """Return settings by which the files of these folders, and of the working folder, may be used."""
    roots = [base, Path.cwd(), *(folder.resolve() for folder in allow or ()), *settings.source_roots]
    return settings.model_copy(update={"source_roots": list(dict.fromkeys(roots))})


def settings_for(context: typer.Context, data_dir: Path | None, database_url: str | None) -> "Settings":
    """Return the settings for work that is done here and now; the log tells of errors only."""
    from callsheet.cli.bootstrap import load_settings, log_as

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    log_as(settings, verbose=context.obj, level="error")
    return settings


def carried_out(plan: Any, operations: "Iterable[Operation]", settings: "Settings", out: Path | None) -> "Execution":
    """Run a plan to its end, showing how far it is."""
    from asyncio import CancelledError

    from callsheet.cli.loop import cancel_on_terminate, run_async
    from callsheet.cli.printing import say
    from callsheet.cli.progress import screen_for
    from callsheet.local import arun, as_submission, known_operations

    submission = as_submission(plan, known_operations(operations).with_settings(settings))
    jobs = {job.id: job.operation for job in submission.execution_plan.jobs}

    async def work() -> "Execution":
        cancel_on_terminate()
        with screen_for(jobs) as screen:
            return await arun(
                submission,
                operations=operations,
                out=out,
                settings=settings,
                on_event=lambda event: screen.show(event.type, event.job_id, event.data),
            )

    try:
        return run_async(work())
    except KeyboardInterrupt:
        say(_CANCELLED)
        raise
    except CancelledError:
        say(_CANCELLED)
        raise typer.Exit(_TERMINATED) from None


def report(execution: "Execution", settings: "Settings", places: "Mapping[str, str]", *, as_json: bool) -> None:
    """Print what became of an execution; `places` are those of its files. Raises Exit unless it succeeded."""
    from callsheet.cli.printing import media_text, say, show_columns, show_json, size_text

    data = execution.model_dump(mode="json", by_alias=True)
    if as_json:
        for artifact in data["artifacts"]:
            artifact["path"] = places.get(artifact["artifactId"])
        show_json(data)
    elif execution.artifacts:
        files = data["artifacts"]
        rows = [(places.get(f["artifactId"]) or f["url"], size_text(f["size"]), media_text(f)) for f in files]
        show_columns(("FILE", "SIZE", "WHAT IT IS"), rows)
    for job in execution.jobs:
        if job.status == "failed" and job.error is not None:
            say(f"{job.job_id}: failed: {job.error.message}")
            for problem in job.error.problems or ():
                say(f"  {problem['path']}: {problem['message']}")
    say(f"The execution has {execution.status}. See it again, while `callsheet up` runs on the same data:")
    say(f"  callsheet status {execution.execution_id}")
    say(f"  {_console(settings)}/executions/{execution.execution_id}")
    if execution.status != "succeeded":
        raise typer.Exit(1)


def _console(settings: "Settings") -> str:
    return (settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/")


def places_of(execution: "Execution", settings: "Settings", out: Path | None) -> dict[str, str]:
    """Return where each file lies on this machine, by artifact id; empty for files in a bucket."""
    from callsheet.local import file_names

    if out is not None:
        return {str(artifact_id): str(out / name) for artifact_id, name in file_names(execution).items()}
    if settings.s3_bucket is not None:
        return {}
    return {str(a.artifact_id): str(settings.files_dir / a.key) for a in execution.artifacts}
