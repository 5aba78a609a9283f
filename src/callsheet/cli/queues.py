"""`callsheet queues`: looking at queues, holding them up, limiting them."""

from typing import Annotated, Any

import typer

from callsheet.cli.options import DEFAULT_URL, ApiKey, Json, Url

group = typer.Typer(help="Look at queues, pause them, limit them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="Name of the queue")]


@group.command("list")
def list_queues(as_json: Json = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the queues with what waits in them."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import ApiClient

    with ApiClient(url, api_key) as remote:
        answer = remote.get("/api/queues")
    if as_json:
        show_json(answer)
        return
    heads = ("QUEUE", "STATE", "QUEUED", "RUNNING", "SCHEDULED", "WAITING", "SEATS", "LIMITS")
    show_columns(heads, [_row(queue) for queue in rows_of(answer, "queues")])


def rows_of(answer: Any, noun: str) -> list[dict[str, Any]]:
    """Return the records of a list, which stand alone or under the name of the noun."""
    rows: list[dict[str, Any]] = answer[noun] if isinstance(answer, dict) else answer
    return rows


def _row(queue: dict[str, Any]) -> tuple[object, ...]:
    limits = []
    if queue.get("maxRunning") is not None:
        limits.append(f"at most {queue['maxRunning']} at once")
    if queue.get("rateLimit") is not None:
        limits.append(f"{queue['rateLimit']} starts in {queue['ratePeriod']:g} s")
    state = "paused" if queue["paused"] else "open"
    counts = (queue[name] for name in ("queued", "running", "scheduled", "waiting", "slots"))
    return (queue["name"], state, *counts, ", ".join(limits))


@group.command()
def pause(name: Name, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Start no more jobs of a queue; those that run go on."""
    _change(name, {"paused": True}, url, api_key)


@group.command()
def resume(name: Name, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Start jobs of a paused queue again."""
    _change(name, {"paused": False}, url, api_key)


@group.command()
def limit(
    name: Name,
    max_running: Annotated[
        str | None,
        typer.Option("--max-running", metavar="N", help="Jobs at once over the whole fleet; 'none' lifts the limit"),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option("--rate", metavar="N/TIME", help="Starts in a time, as in 10/1m; 'none' lifts the limit"),
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Limit a queue over the whole fleet."""
    change: dict[str, Any] = {}
    if max_running is not None:
        change["maxRunning"] = _number(max_running)
    if rate is not None:
        change |= _rate(rate)
    if not change:
        raise typer.BadParameter("give --max-running, --rate, or both")
    _change(name, change, url, api_key)


def _number(text: str) -> int | None:
    if text != "none" and not text.isdecimal():
        raise typer.BadParameter(f"'{text}' is neither a number nor 'none'", param_hint="--max-running")
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


def _change(name: str, change: dict[str, Any], url: str, api_key: str | None) -> None:
    from urllib.parse import quote

    from callsheet.cli.printing import say
    from callsheet.cli.remote import ApiClient

    with ApiClient(url, api_key) as remote:
        queue = remote.patch(f"/api/queues/{quote(name, safe='')}", change)
    limits = _row(queue)[-1]
    say(f"{name}: {'paused' if queue['paused'] else 'open'}{f', {limits}' if limits else ''}")
