"""Options that select executions, with the meaning of the query of `GET /api/executions`."""

from typing import Annotated, Any

import typer

Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", help="queued, running, succeeded, failed or cancelled; repeatable"),
]
Search = Annotated[str | None, typer.Option(help="Text in the name or the metadata, or a complete id")]
Operation = Annotated[str | None, typer.Option(help="Operation of at least one job")]
Queue = Annotated[str | None, typer.Option(help="Queue of that job")]
ErrorCode = Annotated[str | None, typer.Option(help="Code of the error of that job, which has failed")]
Plan = Annotated[str | None, typer.Option(help="Name of a stored plan")]
Batch = Annotated[str | None, typer.Option(help="Id of a batch")]
Source = Annotated[str | None, typer.Option(help="Queue or stream that an intake took it from")]
Key = Annotated[str | None, typer.Option("--key", help="Id of the API key that submitted it")]
Since = Annotated[str | None, typer.Option(help="Submitted at or after a time, or a duration before now such as 2h")]
Until = Annotated[str | None, typer.Option(help="Submitted before a time, or a duration before now such as 2h")]


def filter_of(
    statuses: list[str] | None,
    search: str | None,
    operation: str | None,
    queue: str | None,
    error_code: str | None,
    plan: str | None,
    batch: str | None,
    source: str | None,
    key: str | None,
    *,
    since: str | None,
    until: str | None,
) -> dict[str, Any]:
    """Return the filter of these options with the names of the API, without those that are not given."""
    from callsheet.cli.time_options import moment

    given = {
        "status": statuses or None,
        "search": search,
        "operation": operation,
        "queue": queue,
        "errorCode": error_code,
        "plan": plan,
        "batch": batch,
        "source": source,
        "apiKey": key,
        "createdAfter": moment(since) if since else None,
        "createdBefore": moment(until) if until else None,
    }
    return {name: value for name, value in given.items() if value is not None}
