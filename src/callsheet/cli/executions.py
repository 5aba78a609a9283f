"""Commands for executions on a running server: `submit`, `status`, `watch`, `cancel`, `retry`, `executions`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.bulk_actions import FollowBulk, Preview, Yes, run_bulk_action
from callsheet.cli.execution_filters import (
    Batch,
    ErrorCode,
    Key,
    Operation,
    Plan,
    Queue,
    Search,
    Since,
    Source,
    Statuses,
    Until,
    filter_of,
)
from callsheet.cli.execution_ids import ExecutionId, find_execution_id
from callsheet.cli.options import Allow, ApiKey, Json, PlanOrName, Timeout, Url
from callsheet.cli.plan_inputs import Inputs
from callsheet.cli.views import View, with_view

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from callsheet.cli.plan_sources import PlanSource
    from callsheet.cli.remote import ApiClient

group = typer.Typer(help="List and delete executions; cancel or retry all that match.", no_args_is_help=True)
Everything = Annotated[bool, typer.Option("--all", help="Without a filter: everything")]

_SHOWN_JOBS = 20
_MAX_SHOWN_JOBS = 5
JobOption = Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only this job, by its id in the plan")]


def submit(
    plan: PlanOrName,
    inputs: Inputs = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the execution has ended; exit status 1 if a job failed")
    ] = False,
    timeout: Timeout = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="A second submission with the same key and plan returns the first execution",
        ),
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option("--callback-url", help="URL that receives a signed POST when the execution ends")
    ] = None,
    start_at: Annotated[
        str | None,
        typer.Option(
            "--start-at", metavar="TIME", help="Start no job before a time, or a duration from now such as 2h"
        ),
    ] = None,
    allow: Allow = None,
    upload: Annotated[
        bool,
        typer.Option(help="Upload the local files that the plan names; without it, workers open the paths themselves"),
    ] = True,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Submit a plan to a running server, or run one that it stores, and print the id of the execution.

    Local files that the plan names are uploaded first; a file that the server already has is not sent again. Paths are
    relative to the folder of the plan.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.plan_inputs import read_inputs
    from callsheet.cli.plan_sources import read_plan_source
    from callsheet.cli.remote import connect
    from callsheet.cli.run import base_dir, with_source_roots
    from callsheet.cli.time_options import moment_ahead
    from callsheet.cli.upload_display import upload_inputs

    _check_header(idempotency_key)
    settings = load_settings()
    with connect(url, api_key) as client, read_plan_source(plan, settings, client) as source:
        values = read_inputs(inputs, source.inputs)
        if upload:
            upload_inputs(client, values, source.inputs, {})
        roots = with_source_roots(base_dir(plan), allow, settings).source_roots if upload else None
        around = {} if callback_url is None else {"callbackUrl": callback_url}
        around |= {} if start_at is None else {"startAt": moment_ahead(start_at)}
        receipt = _send(client, source, values, around, idempotency_key, roots)
        _show_warnings(receipt)
        if wait:
            _follow(client, receipt["executionId"], timeout, as_json=as_json)
        else:
            _show_receipt(receipt, as_json=as_json)


def _check_header(idempotency_key: str | None) -> None:
    if idempotency_key is not None and not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise typer.BadParameter(
            "it is sent in an HTTP header and must be printable ASCII", param_hint="--idempotency-key"
        )


def _send(
    client: "ApiClient",
    source: "PlanSource",
    values: dict[str, Any],
    around: dict[str, Any],
    idempotency_key: str | None,
    roots: "Sequence[Path] | None",
) -> dict[str, Any]:
    """Submit a plan, or run a stored one, and return the receipt. Local files below `roots` are uploaded first."""
    from callsheet.cli.run import with_inputs
    from callsheet.cli.upload_display import upload_plan_files

    if source.stored_name is not None:
        run = client.run_plan(source.stored_name, values, idempotency_key=idempotency_key, **around)
        return run.model_dump(mode="json")
    body = _submission(with_inputs(source.plan, values)) | around
    if roots is not None:
        upload_plan_files(client, body, roots)
    return client.submit(body, idempotency_key=idempotency_key).model_dump(mode="json")


def _show_warnings(receipt: dict[str, Any]) -> None:
    from callsheet.cli.printing import say

    if unpriced := (receipt.get("estimatedCost") or {}).get("unpricedJobs"):
        more = "…" if len(unpriced) > _MAX_SHOWN_JOBS else ""
        say(f"Price not known: {', '.join(unpriced[:_MAX_SHOWN_JOBS])}{more}")
    for warning in receipt.get("warnings", []):
        say(f"Warning: {', '.join(warning['jobs'][:_MAX_SHOWN_JOBS])}: {warning['message']}")


def _show_receipt(receipt: dict[str, Any], *, as_json: bool) -> None:
    from callsheet.cli.printing import show, show_json

    if as_json:
        show_json(receipt)
    else:
        show(receipt["executionId"])


def _submission(data: Any) -> dict[str, Any]:
    if isinstance(data, dict) and data.keys() & {"executionPlan", "execution_plan"}:
        return data
    return {"executionPlan": data}


def status(
    execution_id: ExecutionId,
    job: JobOption = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show an execution with its jobs and files."""
    from callsheet.cli.printing import show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        execution = client.get(f"/api/executions/{find_execution_id(client, execution_id)}")
    if job is not None:
        execution["jobs"] = [job_of(execution, job)]
        execution["artifacts"] = [a for a in execution["artifacts"] if a["jobId"] == execution["jobs"][0]["jobId"]]
    if as_json:
        show_json(execution if job is None else execution["jobs"][0])
    else:
        _show(execution)


def _show(execution: dict[str, Any]) -> None:
    from callsheet.cli.printing import media_text, say, show, show_columns, size_text, time_text

    title = f"{execution['name']}: " if execution.get("name") else ""
    show(f"{title}{execution['executionId']} {execution['status']} {execution['progress']:.0%}")
    ended = time_text(execution.get("finishedAt")) or "not yet"
    show(f"submitted {time_text(execution['createdAt'])}, ended {ended}")
    show("")
    show_columns(
        ("JOB", "OPERATION", "STATUS", "PROGRESS", "FAILED ATTEMPTS", "DETAILS"),
        [
            (j["jobId"], j["operation"], j["status"], f"{j['progress']:.0%}", j["attempts"] or "", _details(j))
            for j in execution["jobs"]
        ],
    )
    if execution["artifacts"]:
        show("")
        rows = [(a["name"], size_text(a["size"]), media_text(a), a["url"]) for a in execution["artifacts"]]
        show_columns(("FILE", "SIZE", "CONTENT", "URL"), rows)
    if execution["actions"]:
        say("Available: " + ", ".join(f"callsheet {a} {execution['executionId']}" for a in execution["actions"]))


def _details(job: dict[str, Any]) -> str:
    if job.get("error") and job["status"] in ("failed", "cancelled"):
        return f"{job['error']['code']}: {job['error']['message']}"
    if job.get("waitReason"):
        return f"{job['waitReason']['code']}: {job['waitReason']['message']}"
    return job.get("progressMessage") or (f"on {job['worker']}" if job["status"] == "running" else "")


def watch(
    execution_id: ExecutionId,
    timeout: Timeout = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as one line of JSON")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Follow an execution until it has ended. Ctrl-C ends this command, not the execution."""
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = find_execution_id(client, execution_id)
        _follow(client, found, timeout, as_json=as_json, events_as_json=as_json)


def _follow(
    client: "ApiClient", execution_id: str, timeout: str | None, *, as_json: bool, events_as_json: bool = False
) -> None:
    from callsheet.cli.printing import show, show_json
    from callsheet.cli.progress import open_display

    seconds = _seconds(timeout)
    jobs = {job["jobId"]: job["operation"] for job in client.get(f"/api/executions/{execution_id}")["jobs"]}
    if events_as_json:
        for event in client.watch(execution_id, timeout=seconds):
            show(event.model_dump_json())
    else:
        with open_display(jobs) as display:
            for event in client.watch(execution_id, timeout=seconds):
                display.show(event.type, event.job_id, event.data)
    execution = client.get(f"/api/executions/{execution_id}")
    if as_json and not events_as_json:
        show_json(execution)
    elif not as_json:
        _show(execution)
    if execution["status"] != "succeeded":
        raise typer.Exit(1)


def _seconds(text: str | None) -> float | None:
    from callsheet.domain.durations import parse_duration

    try:
        return None if text is None else float(parse_duration(text).total_seconds())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None


def cancel(execution_id: ExecutionId, job: JobOption = None, url: Url = None, api_key: ApiKey = None) -> None:
    """Cancel an execution or one of its jobs. Running jobs are stopped."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        execution_id = find_execution_id(client, execution_id)
        client.cancel(execution_id, job=job)
    say(f"Cancelled: {job or execution_id}. Running jobs are being stopped.")


def retry(
    execution_id: ExecutionId,
    job: JobOption = None,
    resubmit: Annotated[
        bool,
        typer.Option("--resubmit", help="Also repeat once steps, such as paid submissions, whose outcome is unknown"),
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Run failed, cancelled and skipped jobs again. Succeeded jobs keep their results."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        execution_id = find_execution_id(client, execution_id)
        client.retry(execution_id, job=job, resubmit=resubmit)
    say(f"Retrying: {job or execution_id}. To follow it: callsheet watch {execution_id}")


def job_of(execution: dict[str, Any], job: str) -> dict[str, Any]:
    """Return a job of an execution by its id in the plan. Raises NotFound."""
    from callsheet.domain.did_you_mean import did_you_mean
    from callsheet.domain.errors import NotFound

    jobs: dict[str, dict[str, Any]] = {each["jobId"]: each for each in execution["jobs"]}
    if job not in jobs:
        shown = ", ".join([*jobs][:_SHOWN_JOBS]) + (", …" if len(jobs) > _SHOWN_JOBS else "")
        raise NotFound(f"The execution has no job '{job}'{did_you_mean(job, jobs) or '.'} Its jobs: {shown}")
    return jobs[job]


@group.callback()
def executions() -> None:
    """List and delete executions; cancel or retry all that match."""


@group.command()
def delete(execution_id: ExecutionId, url: Url = None, api_key: ApiKey = None) -> None:
    """Delete an ended execution with its jobs, events, logs and files."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        execution_id = find_execution_id(client, execution_id)
        client.request("DELETE", f"/api/executions/{execution_id}")
    say(f"Deleted: {execution_id}")


@group.command("list")
def list_executions(
    statuses: Statuses = None,
    search: Search = None,
    operation: Operation = None,
    queue: Queue = None,
    error_code: ErrorCode = None,
    plan: Plan = None,
    batch: Batch = None,
    source: Source = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    view: View = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of executions")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Cursor of the next page")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List executions, newest first."""
    from callsheet.cli.printing import say, show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        filters = filter_of(
            statuses, search, operation, queue, error_code, plan, batch, source, key, since=since, until=until
        )
        filters = with_view(client, "executions", view, filters)
        page = client.get("/api/executions", **filters, limit=limit, cursor=cursor)
    if as_json:
        show_json(page)
        return
    rows = [
        (e["executionId"], e["status"], f"{e['progress']:.0%}", time_text(e["createdAt"]), e.get("name"))
        for e in page["executions"]
    ]
    show_columns(("EXECUTION", "STATUS", "PROGRESS", "SUBMITTED", "NAME"), rows)
    if page.get("nextCursor"):
        say(f"More: callsheet executions list --cursor {page['nextCursor']}")


@group.command("cancel")
def cancel_all(
    statuses: Statuses = None,
    search: Search = None,
    operation: Operation = None,
    queue: Queue = None,
    error_code: ErrorCode = None,
    plan: Plan = None,
    batch: Batch = None,
    source: Source = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    dry_run: Preview = False,
    yes: Yes = False,
    wait: FollowBulk = False,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Cancel all executions that match. Running jobs are stopped.

    It shows their number and asks first. The server goes on after this command.
    """
    filters = filter_of(
        statuses, search, operation, queue, error_code, plan, batch, source, key, since=since, until=until
    )
    _need_filter(filters, everything)
    run_bulk_action("cancel", filters, dry_run=dry_run, yes=yes, wait=wait, as_json=as_json, url=url, api_key=api_key)


@group.command("retry")
def retry_all(
    statuses: Statuses = None,
    search: Search = None,
    operation: Operation = None,
    queue: Queue = None,
    error_code: ErrorCode = None,
    plan: Plan = None,
    batch: Batch = None,
    source: Source = None,
    key: Key = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    dry_run: Preview = False,
    yes: Yes = False,
    wait: FollowBulk = False,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Retry all failed and cancelled executions that match, or only those of `--status`.

    It shows their number and asks first. The server goes on after this command.
    """
    filters = filter_of(
        statuses, search, operation, queue, error_code, plan, batch, source, key, since=since, until=until
    )
    _need_filter(filters, everything)
    run_bulk_action("retry", filters, dry_run=dry_run, yes=yes, wait=wait, as_json=as_json, url=url, api_key=api_key)


def _need_filter(filters: dict[str, Any], everything: bool) -> None:
    if not filters and not everything:
        raise typer.BadParameter("give a filter such as --status, or --all", param_hint="--all")
    if filters and everything:
        raise typer.BadParameter("--all has no filter beside it", param_hint="--all")
