"""`callsheet queues`: list, pause, limit, empty and scale queues."""

from typing import Annotated, Any

import typer

from callsheet.cli.bulk_actions import FollowBulk, Preview, Yes, run_bulk_action
from callsheet.cli.options import ApiKey, Json, Url

group = typer.Typer(help="List, pause, limit and empty queues.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue")]


@group.command("list")
def list_queues(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the queues with the numbers of their jobs."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        response = client.get("/api/queues")
    if as_json:
        show_json(response)
        return
    headings = (
        "QUEUE",
        "STATE",
        "QUEUED",
        "RUNNING",
        "SCHEDULED",
        "WAITING",
        "SLOTS",
        "STARTS/MIN",
        "ENDS/MIN",
        "P50",
        "P95",
        "LIMITS",
    )
    show_columns(headings, [_row(queue) for queue in records_in(response, "queues")])


def records_in(response: Any, name: str) -> list[dict[str, Any]]:
    """Return the records of a list response, which is a list or an object with the list under `name`."""
    rows: list[dict[str, Any]] = response[name] if isinstance(response, dict) else response
    return rows


def _row(queue: dict[str, Any]) -> tuple[object, ...]:
    limits = []
    if queue.get("maxRunning") is not None:
        limits.append(f"at most {queue['maxRunning']} running")
    if queue.get("rateLimit") is not None:
        limits.append(f"{queue['rateLimit']} starts per {queue['ratePeriod']:g} s")
    state = "paused" if queue["paused"] else "active"
    counts = (queue[name] for name in ("queued", "running", "scheduled", "waiting", "slots"))
    rates = (f"{queue[name]:.1f}" for name in ("startedPerMinute", "endedPerMinute"))
    durations = (_seconds(queue[name]) for name in ("durationP50", "durationP95"))
    return (queue["name"], state, *counts, *rates, *durations, ", ".join(limits))


def _seconds(duration: float | None) -> str:
    return "" if duration is None else f"{duration:.3g} s" if duration < 100 else f"{duration:.0f} s"


@group.command()
def pause(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Pause a queue: no more jobs start, running jobs continue."""
    _change(name, {"paused": True}, url, api_key)


@group.command()
def resume(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Resume a paused queue."""
    _change(name, {"paused": False}, url, api_key)


@group.command()
def limit(
    name: Name,
    max_running: Annotated[
        str | None,
        typer.Option(
            "--max-running",
            metavar="N",
            help="Maximum number of running jobs, over all workers; 'none' removes the limit",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="N/TIME",
            help="Maximum number of starts in a period, such as 10/1m; 'none' removes the limit",
        ),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Limit a queue over all workers."""
    change: dict[str, Any] = {}
    if max_running is not None:
        change["maxRunning"] = _number(max_running)
    if rate is not None:
        change |= _rate(rate)
    if not change:
        raise typer.BadParameter("set --max-running, --rate, or both")
    _change(name, change, url, api_key)


@group.command()
def scaling(
    queue: Annotated[
        list[str] | None, typer.Option("--queue", metavar="QUEUE", help="Only this queue; can be repeated")
    ] = None,
    least: Annotated[int, typer.Option("--min", min=0, help="Smallest number of workers")] = 0,
    most: Annotated[int | None, typer.Option("--max", min=0, help="Largest number of workers")] = None,
    target_wait: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time in which a queued job should start, such as 30s")
    ] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show how many workers each queue should have, for a program that scales them."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        response = client.get("/api/queues/scaling", queue=queue, min=least, max=most, targetWait=target_wait)
    if as_json:
        show_json(response)
        return
    headings = ("QUEUE", "DESIRED", "WORKERS", "NEEDED SLOTS", "SLOTS PER WORKER", "OLDEST WAIT")
    names = ("queue", "desiredWorkers", "workers", "neededSlots", "slotsPerWorker")
    rows = [(*(each[name] for name in names), f"{each['oldestWait']:.0f} s") for each in records_in(response, "queues")]
    show_columns(headings, rows)


@group.command()
def empty(
    name: Name,
    dry_run: Preview = False,
    yes: Yes = False,
    wait: FollowBulk = False,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Cancel the jobs of a queue that have not started. Running jobs continue.

    It shows their number and asks first. Jobs that depend on them are skipped.
    """
    run_bulk_action(
        "empty_queue",
        {"queue": name},
        dry_run=dry_run,
        yes=yes,
        wait=wait,
        as_json=as_json,
        url=url,
        api_key=api_key,
    )


def _number(text: str) -> int | None:
    if text != "none" and not text.isdecimal():
        raise typer.BadParameter(f"'{text}' is not a number or 'none'", param_hint="--max-running")
    return None if text == "none" else int(text)


def _rate(text: str) -> dict[str, Any]:
    from callsheet.domain.durations import parse_duration

    if text == "none":
        return {"rateLimit": None, "ratePeriod": None}
    number, _, period = text.partition("/")
    try:
        return {"rateLimit": int(number), "ratePeriod": parse_duration(period).total_seconds()}
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not of the form 10/1m", param_hint="--rate") from None


def _change(name: str, change: dict[str, Any], url: str | None, api_key: str | None) -> None:
    from urllib.parse import quote

    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        queue = client.patch(f"/api/queues/{quote(name, safe='')}", change)
    limits = _row(queue)[-1]
    say(f"{queue['name']}: {'paused' if queue['paused'] else 'active'}{f', {limits}' if limits else ''}")
