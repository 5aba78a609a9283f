"""`callsheet workers`: looking at the workers of the fleet, and giving them other lanes."""

from typing import Annotated, Any

import typer

from callsheet.cli.options import DEFAULT_URL, ApiKey, Json, Url

group = typer.Typer(help="Look at workers, change their lanes.", no_args_is_help=True)


@group.command("list")
def list_workers(as_json: Json = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the workers, live ones first."""
    from callsheet.cli.printing import moment_text, show_columns, show_json
    from callsheet.cli.queues import rows_of
    from callsheet.cli.remote import ApiClient

    with ApiClient(url, api_key) as remote:
        answer = remote.get("/api/workers")
    if as_json:
        show_json(answer)
        return
    heads = ("WORKER", "STATUS", "HOST", "PID", "RUNNING", "LANES", "SINCE", "ID")
    show_columns(
        heads,
        [
            (w["name"], w["status"], w["host"], w["pid"], w["running"], _lanes(w), moment_text(w["startedAt"]), w["id"])
            for w in rows_of(answer, "workers")
        ],
    )


def _lanes(worker: dict[str, Any]) -> str:
    return ",".join(f"{queue}={size}" for queue, size in sorted(worker["lanes"].items()))


@group.command("set-lanes")
def set_lanes(
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="Id or name of the worker")],
    lanes: Annotated[str, typer.Argument(metavar="LANES", help="Jobs of a queue at once, as in render=2,preview=4")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Change how many jobs of a queue a worker runs at once; it follows at once."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import ApiClient
    from callsheet.settings import parse_lanes

    try:
        wanted = parse_lanes(lanes)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="LANES") from None
    with ApiClient(url, api_key) as remote:
        for worker_id in _ids_of(remote, worker):
            say(f"{worker}: {_lanes(remote.patch(f'/api/workers/{worker_id}', {'lanes': wanted}))}")


def _ids_of(remote: Any, worker: str) -> list[str]:
    from callsheet.cli.queues import rows_of
    from callsheet.domain.errors import NotFound

    known = [w for w in rows_of(remote.get("/api/workers"), "workers") if w["status"] != "lost"]
    found = [w["id"] for w in known if worker in (w["id"], w["name"])]
    if not found:
        raise NotFound(f"There is no live worker '{worker}'. Known: {', '.join(w['name'] for w in known) or 'none'}.")
    return found
