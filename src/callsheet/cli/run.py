"""`callsheet run` and `callsheet demo`: run a plan to its end in this process."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Allow, DatabaseUrl, DataDir, Import, Json, PlanOrName
from callsheet.cli.plan_inputs import Inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from callsheet.domain.records import Execution
    from callsheet.operation_api.contract import Operation
    from callsheet.settings import Settings

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", file_okay=False, help="Folder for the finished files, as <job>/<name>"),
]

_CANCELLED = "The execution is cancelled, its jobs are stopped."
_TERMINATED = 128 + 15
"""Exit status of a process that SIGTERM has ended."""


def run(
    context: typer.Context,
    plan: PlanOrName,
    inputs: Inputs = None,
    out: Out = None,
    modules: Import = None,
    allow: Allow = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Run a plan on this machine, with a progress bar for each job.

    A name runs a plan that comes with Callsheet. Starts a worker and, unless a database is set, the embedded database.
    Exit status 0 if the execution succeeded, 1 if a job failed. Ctrl-C cancels the execution and stops its jobs.
    """
    from callsheet.cli.bootstrap import discover_operations
    from callsheet.cli.plan_inputs import local_files, read_inputs
    from callsheet.cli.plan_sources import read_local_plan

    settings = load_local_settings(context, data_dir, database_url)
    operations = discover_operations(modules).operations()
    with read_local_plan(plan, settings) as source:
        values = read_inputs(inputs, source.inputs)
        folders = [file.parent for file in local_files(values, source.inputs).values()]
        settings = with_source_roots(base_dir(plan), [*(allow or ()), *folders], settings)
        data = with_inputs(source.plan, values)
        execution = run_to_end(data, operations, settings, out)
    report(execution, settings, local_paths(execution, settings, out), as_json=as_json)


def demo(
    context: typer.Context,
    out: Out = Path("callsheet-demo"),
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Render a short demo video with dependent jobs on real media; needs no keys, no GPU and no network."""
    from callsheet.cli import demo as demo_plan

    settings = load_local_settings(context, data_dir, database_url)
    execution = run_to_end(demo_plan.plan(), demo_plan.OPERATIONS, settings, out)
    report(execution, settings, local_paths(execution, settings, out), as_json=as_json)


def with_inputs(data: Any, values: dict[str, Any]) -> Any:
    """Return the data of a plan or submission with values of its inputs, which are added to those it has."""
    if not values:
        return data
    submission = data if isinstance(data, dict) and data.keys() & {"executionPlan", "execution_plan"} else None
    if submission is None:
        submission = {"executionPlan": data if isinstance(data, dict) else {"jobs": data}}
    given = submission.get("inputs")
    return {**submission, "inputs": {**(given if isinstance(given, dict) else {}), **values}}


def base_dir(file: str) -> Path:
    """Return the folder of a file, which its relative paths start from; for `-` (stdin), the working directory."""
    return Path.cwd() if file == "-" else Path(file).resolve().parent


def with_source_roots(base: Path, allow: "Iterable[Path] | None", settings: "Settings") -> "Settings":
    """Return settings that also allow the files of these folders and of the working directory."""
    roots = [base, Path.cwd(), *(folder.resolve() for folder in allow or ()), *settings.source_roots]
    return settings.model_copy(update={"source_roots": list(dict.fromkeys(roots))})


def load_local_settings(context: typer.Context, data_dir: Path | None, database_url: str | None) -> "Settings":
    """Return the settings for work in this process, and set the log level to error."""
    from callsheet.cli.bootstrap import configure_command_logging, load_settings

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    configure_command_logging(settings, verbose=context.obj, level="error")
    return settings


def run_to_end(plan: Any, operations: "Iterable[Operation]", settings: "Settings", out: Path | None) -> "Execution":
    """Run a plan to its end and show its progress. Raises PlanRefused for an invalid plan."""
    from asyncio import CancelledError

    from callsheet.cli.loop import cancel_on_terminate, run_async
    from callsheet.cli.printing import say
    from callsheet.cli.progress import open_display
    from callsheet.cli.protected_stdout import protected_stdout
    from callsheet.local import arun, load_catalog, parse_submission

    submission = parse_submission(plan, load_catalog(operations).with_settings(settings))
    jobs = {job.id: job.operation for job in submission.execution_plan.jobs}

    async def run_plan() -> "Execution":
        cancel_on_terminate()
        with open_display(jobs) as display:
            return await arun(
                submission,
                operations=operations,
                out=out,
                settings=settings,
                on_event=lambda event: display.show(event.type, event.job_id, event.data),
                on_wait=_show_wait,
            )

    try:
        with protected_stdout():
            return run_async(run_plan())
    except KeyboardInterrupt:
        say(_CANCELLED)
        raise
    except CancelledError:
        say(_CANCELLED)
        raise typer.Exit(_TERMINATED) from None


def _show_wait(reason: str | None) -> None:
    from callsheet.cli.printing import say

    if reason is None:
        say("The storage is back.")
    else:
        say(f"Waiting for the storage: {reason}. The execution has ended; only its files are missing.")


def report(execution: "Execution", settings: "Settings", paths: "Mapping[str, str]", *, as_json: bool) -> None:
    """Print the result of an execution. Raises Exit unless it succeeded.

    `paths` are the local paths of its files, by artifact id.
    """
    from callsheet.cli.printing import media_text, say, show_columns, show_json, size_text

    data = execution.model_dump(mode="json", by_alias=True)
    if as_json:
        for artifact in data["artifacts"]:
            artifact["path"] = paths.get(artifact["artifactId"])
        show_json(data)
    elif execution.artifacts:
        files = data["artifacts"]
        rows = [(paths.get(f["artifactId"]) or f["url"], size_text(f["size"]), media_text(f)) for f in files]
        show_columns(("FILE", "SIZE", "CONTENT"), rows)
    for job in execution.jobs:
        if job.status == "failed" and job.error is not None:
            say(f"{job.job_id}: failed: {job.error.message}")
            for problem in job.error.problems or ():
                say(f"  {problem.path}: {problem.message}")
    say(f"Execution {execution.status}. To see it again, run `callsheet up` with the same data folder:")
    say(f"  callsheet status {execution.execution_id}")
    say(f"  {_console(settings)}/executions/{execution.execution_id}")
    if execution.status != "succeeded":
        raise typer.Exit(1)


def _console(settings: "Settings") -> str:
    return (settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/")


def local_paths(execution: "Execution", settings: "Settings", out: Path | None) -> dict[str, str]:
    """Return the local path of each file, by artifact id; empty for files in a bucket."""
    from callsheet.local import artifact_paths

    if out is not None:
        return {str(artifact_id): str(out / path) for artifact_id, path in artifact_paths(execution).items()}
    if settings.s3_bucket is not None:
        return {}
    return {str(a.artifact_id): str(settings.files_dir / a.key) for a in execution.artifacts}
