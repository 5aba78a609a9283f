"""`callsheet providers`: find tasks that no submission knows, and release held submissions."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import ApiKey, DatabaseUrl, DataDir, Json, Url

if TYPE_CHECKING:
    from datetime import datetime

    from callsheet.db.database import Database
    from callsheet.engine.submissions.unknown_tasks import TaskComparison
    from callsheet.providers.catalog import Providers

group = typer.Typer(
    help="Find tasks of providers that are not known here, and release held submissions.", no_args_is_help=True
)


@group.callback()
def providers() -> None:
    """Find tasks of providers that are not known here, and release held submissions."""


@group.command()
def reconcile(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PROVIDER]...", help="Names of providers; unset: all that are set up")
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="How far back to look, such as 12h; the maximum depends on the provider")
    ] = "24h",
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """List recent tasks of providers that belong to no submission in this database. Nothing is sent or cancelled.

    Such tasks are left when the database loses commits: after a failover to an asynchronous standby, or the restore of
    a backup. The command reads the database and the keys of the providers from the settings of this machine.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import show_json

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    started, records = run_async(_compare(settings, names or [], since))
    if as_json:
        show_json({"since": started.isoformat(), "providers": records})
    else:
        _show_comparisons(records, started)
    if any(record["problem"] for record in records if record["canList"]):
        raise typer.Exit(6)


async def _compare(settings: Any, names: list[str], since: str) -> "tuple[datetime, list[dict[str, Any]]]":
    from datetime import UTC, datetime

    from callsheet.domain.durations import parse_duration
    from callsheet.providers.catalog import discover_providers
    from callsheet.wiring import open_database

    try:
        started = datetime.now(UTC) - parse_duration(since)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    async with discover_providers(settings) as providers:
        chosen = _choose(providers, names)
        async with open_database(settings, migrate=False) as database:
            return started, [await _compare_one(database, providers, name, started) for name in chosen]


def _choose(providers: "Providers", names: list[str]) -> list[str]:
    from callsheet.domain.errors import ConfigurationError

    for name in names:
        if (reason := providers.why_not(name)) is not None:
            raise ConfigurationError(reason)
    return names or [name for name in providers if providers.why_not(name) is None]


async def _compare_one(database: "Database", providers: "Providers", name: str, since: "datetime") -> dict[str, Any]:
    from callsheet.domain.errors import ProviderFailed, ProviderRateLimited, ProviderUnreachable, SubmissionUnknown
    from callsheet.engine.submissions.unknown_tasks import find_unknown_tasks

    record: dict[str, Any] = {"provider": name, "canList": True, "problem": None, "listed": 0, "unanswered": 0}
    if not providers[name].capabilities.list_tasks:
        return record | {"canList": False, "problem": f"The API of {name} cannot list tasks.", "unknownTasks": []}
    try:
        found = await find_unknown_tasks(database, providers[name], since)
    except (ProviderFailed, ProviderRateLimited, ProviderUnreachable, SubmissionUnknown) as error:
        return record | {"problem": error.message, "unknownTasks": []}
    return record | {"listed": found.listed, "unanswered": found.unanswered, "unknownTasks": _task_records(found)}


def _task_records(found: "TaskComparison") -> list[dict[str, Any]]:
    return [
        {
            "id": task.id,
            "model": task.model,
            "status": task.status,
            "createdAt": task.created_at.isoformat() if task.created_at else None,
        }
        for task in found.unknown
    ]


def _show_comparisons(records: list[dict[str, Any]], since: "datetime") -> None:
    from callsheet.cli.printing import say, show_columns

    rows = [
        (record["provider"], task["id"], task["status"], task["createdAt"] or "", task["model"] or "")
        for record in records
        for task in record["unknownTasks"]
    ]
    if rows:
        show_columns(("PROVIDER", "UNKNOWN TASK", "STATUS", "CREATED", "MODEL"), rows)
    for record in records:
        say(f"{record['provider']}: {_summary(record)}")
    if not records:
        say("No provider is set up on this machine.")
    say(f"Tasks since {since:%Y-%m-%d %H:%M:%S} UTC. Nothing was sent or cancelled.")


def _summary(record: dict[str, Any]) -> str:
    if not record["canList"]:
        return f"{record['problem']} Compare its dashboard with `callsheet executions list`."
    if record["problem"]:
        return str(record["problem"])
    text = f"{len(record['unknownTasks'])} of {record['listed']} tasks are not known here."
    if record["unanswered"]:
        text += f" The responses to {record['unanswered']} submissions are missing; unknown tasks may belong to them."
    return text


@group.command()
def held(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the submissions that are held until a person releases them (CALLSHEET_HOLD_SUBMISSIONS)."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        response = client.get("/api/providers/held")
    if as_json:
        show_json(response)
        return
    rows = [
        (each["executionId"], each["jobId"], each["operation"], each["provider"], time_text(each["heldAt"]))
        for each in response["submissions"]
    ]
    show_columns(("EXECUTION", "JOB", "OPERATION", "PROVIDER", "HELD SINCE"), rows)


@group.command()
def release(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of executions or of job records, or `last`")
    ] = None,
    all_held: Annotated[bool, typer.Option("--all", help="Release all submissions that are held now")] = False,
    provider: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --all: only those to this provider")
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Release held submissions, so that workers send them. A provider may charge for each.

    The release of an execution also holds for its later submissions.
    """
    from callsheet.cli.execution_ids import find_execution_id
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    if bool(ids) == all_held:
        raise typer.BadParameter("give ids, or --all")
    if provider is not None and not all_held:
        raise typer.BadParameter("it goes with --all", param_hint="--provider")
    with connect(url, api_key) as client:
        body = {"ids": [find_execution_id(client, each) for each in ids or ()], "all": all_held, "provider": provider}
        released = client.post("/api/providers/release", body)["released"]
    say(f"Released: {released} held submission{'' if released == 1 else 's'}.")
