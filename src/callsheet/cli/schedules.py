"""`callsheet schedules`: run plans at times."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, Url
from callsheet.cli.plan_inputs import Inputs

if TYPE_CHECKING:
    from callsheet.cli.plan_sources import PlanSource

group = typer.Typer(help="Run plans at times: store, list, pause, resume and run schedules.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule")]


@group.command("list")
def list_schedules(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the schedules with their next time and their newest run."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = client.get("/api/schedules")
    if as_json:
        show_json(found)
        return
    headings = ("SCHEDULE", "WHEN", "PLAN", "NEXT", "LAST", "ORIGIN")
    rows = [
        (
            each["name"],
            _when(each),
            _runs(each),
            "paused" if each["pausedAt"] else time_text(each["nextStartAt"]) or "never",
            _last(each["lastRun"]),
            each["origin"],
        )
        for each in found["schedules"]
    ]
    show_columns(headings, rows)


def _runs(schedule: dict[str, Any]) -> str:
    inline = schedule["executionPlan"] or {}
    return str(schedule["plan"] or schedule["task"] or inline.get("name") or "(a plan of its own)")


def _when(schedule: dict[str, Any]) -> str:
    if schedule["every"] is not None:
        from callsheet.domain.durations import duration_text

        return f"every {duration_text(timedelta(seconds=schedule['every']))}"
    return f"{schedule['cron']} ({schedule['timeZone']})"


def _last(run: dict[str, Any] | None) -> str:
    if run is None:
        return ""
    return str(run["executionStatus"] or run["outcome"])


@group.command()
def show(name: Name, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show a schedule and its last runs."""
    from callsheet.cli.printing import show, show_columns, show_json, time_text
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    path = f"/api/schedules/{path_part('name', name)}"
    with connect(url, api_key) as client:
        schedule = client.get(path)
        runs = client.get(f"{path}/runs", limit=20)["runs"]
    if as_json:
        show_json({**schedule, "runs": runs})
        return
    show(f"{schedule['name']}: {_when(schedule)}")
    if schedule["description"]:
        show(schedule["description"])
    show(f"Next: {'paused' if schedule['pausedAt'] else time_text(schedule['nextStartAt']) or 'never'}")
    show(f"Missed times: {schedule['missed']}. Overlap: {schedule['overlap']}.")
    show("")
    show_columns(
        ("DUE", "RESULT", "EXECUTION", "REASON"),
        [
            (
                time_text(run["dueAt"]) + (" (by hand)" if run["isManual"] else ""),
                _last(run),
                run["executionId"],
                run["reason"],
            )
            for run in runs
        ],
    )


@group.command("set")
def put(
    name: Name,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Plan file, or the name of a stored plan")],
    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="EXPRESSION", help="Cron expression, such as '30 6 * * 1-5' or @daily"),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="Time zone of --cron; default: UTC")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="DURATION", help="Interval instead of --cron, such as 6h")
    ] = None,
    inputs: Inputs = None,
    missed: Annotated[
        str | None, typer.Option("--missed", help="Times at which no server ran: skip, once (default) or all")
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option("--overlap", help="When the last execution has not ended: skip (default), wait, cancel or allow"),
    ] = None,
    jitter: Annotated[
        str | None, typer.Option("--jitter", metavar="DURATION", help="Delay each start by a time up to this")
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option("--callback-url", help="Receives a webhook when an execution ends")
    ] = None,
    paused: Annotated[bool, typer.Option("--paused", help="Store it without starting anything")] = False,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Store a schedule, or replace the one of this name."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.plan_inputs import read_inputs
    from callsheet.cli.plan_sources import read_plan_source
    from callsheet.cli.printing import say, show_json, time_text
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    if (cron is None) == (every is None):
        raise typer.BadParameter("give one of --cron and --every", param_hint="--cron")
    given = {
        "cron": cron,
        "timeZone": time_zone,
        "every": every,
        "missed": missed,
        "overlap": overlap,
        "jitter": jitter,
        "callbackUrl": callback_url,
        "paused": paused or None,
    }
    with connect(url, api_key) as client, read_plan_source(plan, load_settings(), client) as source:
        body = {field: value for field, value in given.items() if value is not None} | _plan_of(source)
        body["inputs"] = read_inputs(inputs, source.inputs)
        schedule = client.put(f"/api/schedules/{path_part('name', name)}", body)
    if as_json:
        show_json(schedule)
    else:
        following = time_text(schedule["nextStartAt"])
        say(f"Stored: {name}. " + (f"It runs next at {following}." if following else "It is paused."))


def _plan_of(source: "PlanSource") -> dict[str, Any]:
    if source.stored_name is not None:
        return {"plan": source.stored_name}
    plan = source.plan
    if isinstance(plan, list):
        plan = {"jobs": plan}
    elif isinstance(plan, dict):
        plan = plan.get("executionPlan") or plan.get("execution_plan") or plan
    return {"executionPlan": plan}


@group.command()
def pause(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Start nothing until the schedule is resumed."""
    from callsheet.cli.printing import say

    _post(name, "pause", url, api_key)
    say(f"Paused: {name}")


@group.command()
def resume(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Continue with the next time from now."""
    from callsheet.cli.printing import say, time_text

    schedule = _post(name, "resume", url, api_key)
    say(f"Resumed: {name}. It runs next at {time_text(schedule['nextStartAt'])}.")


@group.command()
def run(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Start an execution now, and print its id."""
    from callsheet.cli.printing import say, show

    started = _post(name, "run", url, api_key)["executionId"]
    if started is not None:
        show(started)
    else:
        say(f"Started: {name}. `callsheet schedules show {name}` shows the result.")


@group.command()
def delete(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Delete a schedule with its history. Its executions stay."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    with connect(url, api_key) as client:
        client.request("DELETE", f"/api/schedules/{path_part('name', name)}")
    say(f"Deleted: {name}")


def _post(name: str, action: str, url: str | None, api_key: str | None) -> Any:
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    with connect(url, api_key) as client:
        return client.post(f"/api/schedules/{path_part('name', name)}/{action}")
