"""`callsheet workers`: list workers, show their load, change their lanes, drain and stop them."""

from typing import Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, Url

group = typer.Typer(
    help="List workers, show their load, change their lanes, drain and stop them.", no_args_is_help=True
)


WorkerName = Annotated[str, typer.Argument(metavar="WORKER", help="Id or name of the worker")]


@group.command("list")
def list_workers(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the workers, live workers first, with the load of their machines, and what of it is too high."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.queues import records_in
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        response = client.get("/api/workers")
    if as_json:
        show_json(response)
        return
    load = ("CPU", "MEMORY", "DISK", "GPU", "HIGH")
    headings = ("WORKER", "STATUS", "HOST", "PID", "RUNNING", "LANES", *load, "STARTED", "ID")
    show_columns(
        headings,
        [
            (
                w["name"],
                w["status"],
                w["host"],
                w["pid"],
                w["running"],
                _lanes_text(w),
                *_load_cells(w.get("resources")),
                time_text(w["startedAt"]),
                w["id"],
            )
            for w in records_in(response, "workers")
        ],
    )


def _lanes_text(worker: dict[str, Any]) -> str:
    return ",".join(f"{queue}={size}" for queue, size in sorted(worker["lanes"].items()))


def _load_cells(resources: dict[str, Any] | None) -> tuple[str, ...]:
    """Return the newest measurement; of several disks or GPUs, the highest. A worker of an old server has none."""
    if resources is None:
        return ("",) * 5
    disk = max((each["percent"] for each in resources["disks"]), default=None)
    gpu = max((each["percent"] for each in resources["gpus"] if each["percent"] is not None), default=None)
    high = ",".join(f"{each['resource']}={each['percent']:.0f}%" for each in resources["warnings"])
    levels = (resources["cpu"]["percent"], resources["memory"]["percent"], disk, gpu)
    return (*("" if level is None else f"{level:.0f}%" for level in levels), high)


@group.command("load")
def show_load(
    worker: WorkerName,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Earliest time, or a duration before now such as 30m; at most a day")
    ] = "2h",
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Show the load of the machine of a worker in the last day: each minute for two hours, before that averages.

    The highest value of a period is in parentheses where it differs from the average.
    """
    from datetime import datetime

    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment
    from callsheet.client.url_paths import path_part

    try:
        earliest = datetime.fromisoformat(moment(since)).astimezone()
    except ValueError:
        message = f"'{since}' is neither a time, such as 2026-11-29T12:00:00Z, nor a duration, such as 30m"
        raise typer.BadParameter(message, param_hint="--since") from None
    with connect(url, api_key) as client:
        response = client.get(f"/api/workers/{path_part('WORKER', worker)}/resources")
    points = [point for point in response["points"] if datetime.fromisoformat(point["at"]) >= earliest]
    if as_json:
        show_json({**response, "points": points})
        return
    resources = list(dict.fromkeys(name for point in points for name in point["average"]))
    show_columns(
        ["TIME", "PERIOD", *(name.upper() for name in resources)],
        [(time_text(p["at"]), f"{p['seconds']} s", *(_level_text(p, name) for name in resources)) for p in points],
    )


def _level_text(point: dict[str, Any], resource: str) -> str:
    average, highest = point["average"].get(resource), point["highest"].get(resource)
    if average is None:
        return ""
    return f"{average:.0f}%" if round(highest) == round(average) else f"{average:.0f}% ({highest:.0f}%)"


@group.command("set-lanes")
def set_lanes(
    worker: WorkerName,
    lanes: Annotated[str, typer.Argument(metavar="LANES", help="Slots per queue, such as render=2,preview=4")],
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Change the slots of a worker's lanes, immediately.

    Later workers of the same name have them, too, until `reset-lanes`.
    """
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect
    from callsheet.settings import parse_lanes

    try:
        new_lanes = parse_lanes(lanes)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="LANES") from None
    with connect(url, api_key) as client:
        for worker_id in _ids_of(client, worker):
            say(f"{worker}: {_lanes_text(client.patch(f'/api/workers/{worker_id}', {'lanes': new_lanes}))}")


@group.command("reset-lanes")
def reset_lanes(worker: WorkerName, url: Url = None, api_key: ApiKey = None) -> None:
    """Give a worker the lanes of its settings again, also if it was drained."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        for worker_id in _ids_of(client, worker):
            say(f"{worker}: {_lanes_text(client.delete(f'/api/workers/{worker_id}/lanes'))}")


@group.command()
def drain(worker: WorkerName, url: Url = None, api_key: ApiKey = None) -> None:
    """Close all lanes of a worker: it ends its running jobs and claims no more. `reset-lanes` opens them again."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        for worker_id in _ids_of(client, worker):
            drained = client.post(f"/api/workers/{worker_id}/drain")
            say(f"{worker} claims no more jobs; {drained['running']:,} still run")


@group.command()
def stop(worker: WorkerName, url: Url = None, api_key: ApiKey = None) -> None:
    """Let the process of a worker end, as SIGTERM does: running jobs get its grace period, the rest is released."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        for worker_id in _ids_of(client, worker):
            stopping = client.post(f"/api/workers/{worker_id}/stop")
            say(f"{worker} is stopping; {stopping['running']:,} jobs still run")


def _ids_of(client: Any, worker: str) -> list[str]:
    from callsheet.cli.queues import records_in
    from callsheet.domain.errors import NotFound

    known = [w for w in records_in(client.get("/api/workers"), "workers") if w["status"] != "lost"]
    found = [w["id"] for w in known if worker in (w["id"], w["name"])]
    if not found:
        raise NotFound(f"There is no live worker '{worker}'. Known: {', '.join(w['name'] for w in known) or 'none'}.")
    return found
