"""`callsheet batches`: run a plan for a table of inputs, and read, cancel and retry such batches."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from callsheet.cli.options import ApiKey, Json, Url
from callsheet.cli.plan_inputs import Inputs

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

group = typer.Typer(help="Run a plan for a table of inputs; read, cancel and retry batches.", no_args_is_help=True)

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch")]


@group.command()
def submit(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Plan file, or the name of a stored plan")],
    table: Annotated[
        Path | None,
        typer.Argument(
            metavar="[TABLE]", help="CSV with a header, JSON Lines or a JSON list: one execution for each row"
        ),
    ] = None,
    matrix: Annotated[
        list[str] | None,
        typer.Option(
            "--matrix",
            metavar="NAME=[VALUES]",
            help="Values of an input as a JSON list, in place of a table: an execution for each combination",
        ),
    ] = None,
    inputs: Inputs = None,
    name: Annotated[str | None, typer.Option("--name", help="Display name of the batch")] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="A second batch with the same key returns the first"),
    ] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Store one execution for each row of inputs, all or none, and print the id of the batch.

    `--input` gives values that all rows share.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.plan_inputs import read_inputs, read_table
    from callsheet.cli.plan_sources import read_plan_source
    from callsheet.cli.printing import say, show, show_json
    from callsheet.cli.remote import connect

    if (table is None) == (not matrix):
        raise typer.BadParameter("give either TABLE or --matrix", param_hint="TABLE")
    with connect(url, api_key) as client, read_plan_source(plan, load_settings(), client) as source:
        body: dict[str, Any] = {"name": name, "sharedInputs": read_inputs(inputs, source.inputs)}
        if table is not None:
            body["inputs"] = read_table(table, source.inputs)
        else:
            body["matrix"] = dict(map(_matrix_values, matrix or ()))
        _upload_files(client, body, source.inputs)
        if source.stored_name is None:
            body["executionPlan"] = source.plan
        path = f"/api/plans/{source.stored_name}/batches" if source.stored_name else "/api/batches"
        headers = {"Idempotency-Key": idempotency_key or f"cli-{uuid4()}"}
        batch = client.request("POST", path, json=body, headers=headers)
    if as_json:
        show_json(batch)
    else:
        say(f"{batch['size']:,} executions. To follow them: callsheet batches show {batch['id']}")
        show(batch["id"])


def _matrix_values(option: str) -> tuple[str, list[Any]]:
    name, equals, text = option.partition("=")
    try:
        values = json.loads(text) if equals else None
    except ValueError:
        values = None
    if not isinstance(values, list):
        raise typer.BadParameter(f"'{option[:80]}' is not NAME=[VALUE, …]", param_hint="--matrix")
    return name, values


def _upload_files(client: "ApiClient", body: dict[str, Any], declared: Any) -> None:
    from callsheet.cli.upload_display import upload_inputs

    sources: dict[Path, str] = {}
    upload_inputs(client, body["sharedInputs"], declared, sources, "sharedInputs")
    for number, row in enumerate(body.get("inputs", ())):
        upload_inputs(client, row, declared, sources, f"inputs[{number}]")


@group.command("list")
def list_batches(
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number of batches")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Cursor of the next page")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List batches, newest first."""
    from callsheet.cli.printing import say, show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        page = client.get("/api/batches", limit=limit, cursor=cursor)
    if as_json:
        show_json(page)
        return
    rows = [
        (
            each["id"],
            each["size"],
            _counts(each),
            each["planName"] or "",
            time_text(each["createdAt"]),
            each["name"] or "",
        )
        for each in page["batches"]
    ]
    show_columns(("BATCH", "SIZE", "EXECUTIONS", "PLAN", "SUBMITTED", "NAME"), rows)
    if page["nextCursor"]:
        say(f"More: callsheet batches list --cursor {page['nextCursor']}")


@group.command("show")
def show_batch(batch_id: BatchId, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show a batch with its executions, the newest 200."""
    from callsheet.cli.printing import show, show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        batch = client.get(f"/api/batches/{batch_id}")
        executions = client.get("/api/executions", batch=batch_id, limit=200)["executions"]
    if as_json:
        show_json({**batch, "executions": executions})
        return
    name = f" {batch['name']}" if batch["name"] else ""
    show(f"{batch['id']}{name}: {batch['size']:,} executions, {_counts(batch)}")
    show("")
    rows = [(each["executionId"], each["status"], f"{each['progress']:.0%}", each["name"] or "") for each in executions]
    show_columns(("EXECUTION", "STATUS", "PROGRESS", "NAME"), rows)


@group.command()
def cancel(batch_id: BatchId, url: Url = None, api_key: ApiKey = None) -> None:
    """Cancel the executions of a batch that have not ended. The server goes on after this command."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        batch = client.post(f"/api/batches/{batch_id}/cancel")
    if not {"queued", "running"} & batch["executionCounts"].keys():
        say("All executions of the batch have ended already.")
        return
    say(f"The batch is being cancelled. To see how far it is: callsheet batches show {batch['id']}")


@group.command()
def retry(batch_id: BatchId, url: Url = None, api_key: ApiKey = None) -> None:
    """Retry the failed and cancelled executions of a batch."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        result = client.post(f"/api/batches/{batch_id}/retry")
    unchanged = f" {result['unchanged']:,} had started again meanwhile." if result["unchanged"] else ""
    say(f"{result['changed']:,} executions retried.{unchanged}")


def _counts(batch: dict[str, Any]) -> str:
    counts = ", ".join(f"{count:,} {status}" for status, count in batch["executionCounts"].items())
    cancellation = batch["cancellation"]
    if cancellation is None or cancellation["finished"]:
        return counts
    return f"{counts}; cancelling {cancellation['processed']:,} of {cancellation['total']:,}"
