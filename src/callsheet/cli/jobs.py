"""`callsheet jobs`: list jobs, and move single ones."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.execution_filters import Since, Until
from callsheet.cli.execution_ids import ExecutionId, find_execution_id
from callsheet.cli.options import ApiKey, Json, Url
from callsheet.cli.views import View, with_view

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

group = typer.Typer(
    help="List jobs; run them next, hold and release them, change their queue, priority or start.", no_args_is_help=True
)

Job = Annotated[str, typer.Option("--job", metavar="JOB", help="The job, by its id in the plan")]


@group.command("list")
def list_jobs(
    statuses: Annotated[
        list[str] | None, typer.Option("--status", help="Such as running, queued or failed; repeatable")
    ] = None,
    operation: Annotated[str | None, typer.Option(help="Name of the operation")] = None,
    queue: Annotated[str | None, typer.Option(help="Name of the queue")] = None,
    error_code: Annotated[str | None, typer.Option(help="Code of the error of a failed job")] = None,
    execution: Annotated[str | None, typer.Option(help="Id of an execution")] = None,
    since: Since = None,
    until: Until = None,
    view: View = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of jobs")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Cursor of the next page")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List jobs of all executions, newest first."""
    from callsheet.cli.printing import say, show_columns, show_json, time_text
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment

    with connect(url, api_key) as client:
        given = {
            "status": statuses or None,
            "operation": operation,
            "queue": queue,
            "errorCode": error_code,
            "execution": execution and find_execution_id(client, execution),
            "createdAfter": moment(since) if since else None,
            "createdBefore": moment(until) if until else None,
        }
        filters = with_view(client, "jobs", view, {name: value for name, value in given.items() if value is not None})
        page = client.get("/api/jobs", **filters, limit=limit, cursor=cursor)
    if as_json:
        show_json(page)
        return
    rows = [
        (
            each["executionId"],
            each["jobId"],
            each["operation"],
            each["queue"],
            each["status"],
            each["priority"],
            time_text(each["createdAt"]),
            _details(each),
        )
        for each in page["jobs"]
    ]
    show_columns(("EXECUTION", "JOB", "OPERATION", "QUEUE", "STATUS", "PRIORITY", "STORED", "DETAILS"), rows)
    if page["nextCursor"]:
        say(f"More: callsheet jobs list --cursor {page['nextCursor']}")


def _details(job: dict[str, Any]) -> str:
    reason = job["error"] if job["status"] == "failed" else job["waitReason"]
    return f"{reason['code']}: {reason['message']}" if reason else job["progressMessage"] or ""


@group.command("run-next")
def run_next(
    execution_id: ExecutionId, job: Job, as_json: Json = False, url: Url = None, api_key: ApiKey = None
) -> None:
    """Make a job the first of its queue, now. A backoff or a later start ends."""
    _move(execution_id, job, "run-next", None, as_json=as_json, url=url, api_key=api_key)


@group.command()
def hold(execution_id: ExecutionId, job: Job, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Keep a job from starting until it is released."""
    _move(execution_id, job, "hold", None, as_json=as_json, url=url, api_key=api_key)


@group.command()
def release(
    execution_id: ExecutionId, job: Job, as_json: Json = False, url: Url = None, api_key: ApiKey = None
) -> None:
    """End the hold of a job."""
    _move(execution_id, job, "release", None, as_json=as_json, url=url, api_key=api_key)


@group.command("change-queue")
def change_queue(
    execution_id: ExecutionId,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the other queue")],
    job: Job,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Move a job that does not run to another queue."""
    _move(execution_id, job, "change-queue", {"queue": queue}, as_json=as_json, url=url, api_key=api_key)


@group.command(context_settings={"ignore_unknown_options": True})
def prioritize(
    execution_id: ExecutionId,
    priority: Annotated[int, typer.Argument(metavar="PRIORITY", help="A higher priority runs first")],
    job: Job,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Change the priority of a job that does not run."""
    _move(execution_id, job, "prioritize", {"priority": priority}, as_json=as_json, url=url, api_key=api_key)


@group.command("start-later")
def start_later(
    execution_id: ExecutionId,
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="A time with its UTC offset, or a duration from now such as 2h")
    ],
    job: Job,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Let a job start at a time, not earlier."""
    from callsheet.cli.time_options import moment_ahead

    body = {"startAt": moment_ahead(time)}
    _move(execution_id, job, "start-later", body, as_json=as_json, url=url, api_key=api_key)


def _move(
    execution_id: str,
    job: str,
    move: str,
    body: dict[str, Any] | None,
    *,
    as_json: bool,
    url: str | None,
    api_key: str | None,
) -> None:
    from callsheet.cli.printing import say, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        moved = client.post(f"/api/jobs/{_record_id(client, execution_id, job)}/{move}", body)
    if as_json:
        show_json(moved)
        return
    reason = f": {moved['waitReason']['message']}" if moved.get("waitReason") else ""
    say(f"{moved['jobId']} is {moved['status']} in the queue {moved['queue']}, priority {moved['priority']}{reason}")


def _record_id(client: "ApiClient", execution_id: str, job: str) -> str:
    from callsheet.cli.executions import job_of

    execution = client.get(f"/api/executions/{find_execution_id(client, execution_id)}")
    return str(job_of(execution, job)["id"])
