"""`callsheet webhooks`: endpoints, their secrets and deliveries."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import ApiKey, DataDir, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

group = typer.Typer(help="Manage webhook endpoints and deliveries.", no_args_is_help=True)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="Id of the webhook: its webhook-id")]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="TYPE", help="Type of events, or all of a kind: 'job.*'; repeatable"),
]
Description = Annotated[str | None, typer.Option("--description", help="What the endpoint is for")]
_TEST_TIMEOUT = 25.0
"""Seconds to wait for the first attempt of a test."""


@group.callback()
def webhooks() -> None:
    """Manage webhook endpoints and deliveries."""


@group.command()
def secret(data_dir: DataDir = None) -> None:
    """Print the secret that verifies signatures of callback URLs and alerts (Standard Webhooks, whsec_…).

    Each endpoint has a secret of its own, which is shown when it is created or rotated.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.printing import show
    from callsheet.domain.standard_webhooks import secret_text
    from callsheet.files.signed_urls import signing_key
    from callsheet.notify.signature import installation_secret

    show(secret_text(installation_secret(signing_key(load_settings(data_dir=data_dir)))))


@group.command("list")
def list_endpoints(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the endpoints."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        endpoints = client.get("/api/webhook-endpoints")["endpoints"]
    if as_json:
        show_json(endpoints)
        return
    rows = [(e["id"], _state(e), e["url"], ", ".join(e["eventTypes"]), e["description"]) for e in endpoints]
    show_columns(("ENDPOINT", "STATE", "URL", "EVENTS", "DESCRIPTION"), rows)


@group.command()
def create(
    receiver: Annotated[str, typer.Argument(metavar="URL", help="URL that receives the webhooks")],
    events: Events = None,
    description: Description = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Create an endpoint, and print its secret. The secret is not shown again.

    Without --event it receives the ends of executions.
    """
    body = {"url": receiver, "eventTypes": events or None, "description": description}
    _show_secret("POST", "", {name: value for name, value in body.items() if value is not None}, url, api_key, as_json)


@group.command()
def show(endpoint: EndpointId, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show an endpoint, and its newest deliveries."""
    from callsheet.cli.printing import show as show_text
    from callsheet.cli.printing import show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = client.get(_path(endpoint))
        newest = client.get("/api/webhook-deliveries", endpointId=found["id"], limit=10)["deliveries"]
    if as_json:
        show_json(found)
        return
    show_text(f"{found['id']} {_state(found)}")
    show_text(f"{found['url']}: {', '.join(found['eventTypes'])}")
    _show_deliveries(newest)


@group.command()
def change(
    endpoint: EndpointId,
    receiver: Annotated[str | None, typer.Option("--to", metavar="URL", help="New URL of the endpoint")] = None,
    events: Events = None,
    description: Description = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Send webhooks to it, or stop that")] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Change an endpoint, enable or disable it."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    body = {"url": receiver, "eventTypes": events or None, "description": description, "enabled": enable}
    body = {name: value for name, value in body.items() if value is not None}
    if not body:
        raise typer.BadParameter("set at least one of --to, --event, --description, --enable and --disable")
    with connect(url, api_key) as client:
        changed = client.patch(_path(endpoint), body)
    say(f"{changed['id']}: {_state(changed)}, {changed['url']}, {', '.join(changed['eventTypes'])}")


@group.command()
def delete(endpoint: EndpointId, url: Url = None, api_key: ApiKey = None) -> None:
    """Delete an endpoint with its webhooks."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        client.request("DELETE", _path(endpoint))
    say(f"Deleted: {endpoint}")


@group.command()
def test(endpoint: EndpointId, url: Url = None, api_key: ApiKey = None) -> None:
    """Send a test to an endpoint, and wait for its first attempt. Exit status 1 if that fails."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        delivery = client.post(f"{_path(endpoint)}/test")
        deadline = time.monotonic() + _TEST_TIMEOUT
        while not delivery["attemptLog"] and time.monotonic() < deadline:
            time.sleep(0.2)
            delivery = client.get(f"/api/webhook-deliveries/{delivery['id']}")
    if not delivery["attemptLog"]:
        say(f"No attempt yet: callsheet webhooks delivery {delivery['id']}")
        raise typer.Exit(1)
    first = delivery["attemptLog"][0]
    say(f"{first['response']} after {first['duration']:.3f} s")
    if delivery["status"] != "delivered":
        raise typer.Exit(1)


@group.command("rotate-secret")
def rotate_secret(
    endpoint: EndpointId,
    overlap: Annotated[
        str | None,
        typer.Option(
            "--overlap", metavar="TIME", help="Time for which the previous secret is valid too; 0: not at all (1d)"
        ),
    ] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Make a new secret for an endpoint, and print it. It is not shown again."""
    body = None if overlap is None else {"overlap": overlap}
    _show_secret("POST", f"/{_quoted(endpoint)}/rotate-secret", body, url, api_key, as_json)


@group.command()
def deliveries(
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Only those of this endpoint")] = None,
    execution: Annotated[str | None, typer.Option("--execution", help="Only those of this execution")] = None,
    status: Annotated[str | None, typer.Option("--status", help="pending, delivered or failed")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200)] = 50,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List webhooks that were sent or wait to be sent, newest first."""
    from callsheet.cli.printing import show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = client.get(
            "/api/webhook-deliveries", endpointId=endpoint, executionId=execution, status=status, limit=limit
        )["deliveries"]
    if as_json:
        show_json(found)
    else:
        _show_deliveries(found)


@group.command()
def delivery(delivery: DeliveryId, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show a webhook with every attempt to send it."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = client.get(f"/api/webhook-deliveries/{_quoted(delivery)}")
    if as_json:
        show_json(found)
        return
    _show_deliveries([found])
    rows = [(a["number"], time_text(a["at"]), f"{a['duration']:.3f} s", a["response"]) for a in found["attemptLog"]]
    show_columns(("ATTEMPT", "AT", "DURATION", "RESPONSE"), rows)


@group.command()
def resend(
    delivery: Annotated[str | None, typer.Argument(metavar="DELIVERY", help="Id of the webhook")] = None,
    failed_since: Annotated[
        str | None,
        typer.Option(
            "--failed-since", metavar="TIME", help="All that failed since then: 2h, 1d, or 2026-11-22T09:00:00Z"
        ),
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Only those of this endpoint")] = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Send a webhook again, or all that failed since a time."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment

    if (delivery is None) == (failed_since is None):
        raise typer.BadParameter("give the id of a webhook, or --failed-since")
    with connect(url, api_key) as client:
        if delivery is not None:
            client.post(f"/api/webhook-deliveries/{_quoted(delivery)}/resend")
            say(f"Sending again: {delivery}")
        else:
            say(f"Sending again: {_resend_failed(client, moment(str(failed_since)), endpoint)} webhooks")


def _resend_failed(client: "ApiClient", since: str, endpoint: str | None) -> int:
    total, resent = 0, -1
    while resent:
        resent = client.post("/api/webhook-deliveries/resend", {"since": since, "endpointId": endpoint})["resent"]
        total += resent
    return total


def _show_secret(
    method: str, path: str, body: dict[str, Any] | None, url: str | None, api_key: str | None, as_json: bool
) -> None:
    from callsheet.cli.printing import say, show_json
    from callsheet.cli.printing import show as show_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        endpoint = client.request(method, f"/api/webhook-endpoints{path}", json=body)
    if as_json:
        show_json(endpoint)
        return
    say(f"Endpoint {endpoint['id']} receives {', '.join(endpoint['eventTypes'])}. Its secret, shown only now:")
    show_text(endpoint["secret"])


def _show_deliveries(found: list[dict[str, Any]]) -> None:
    from callsheet.cli.printing import show_columns, time_text

    show_columns(
        ("DELIVERY", "STATUS", "TYPE", "EXECUTION", "ATTEMPTS", "NEXT ATTEMPT", "LAST RESPONSE"),
        [
            (
                d["id"],
                d["status"],
                d["type"],
                d["executionId"],
                d["attempts"],
                time_text(d["nextAttemptAt"]),
                d["lastResponse"],
            )
            for d in found
        ],
    )


def _state(endpoint: dict[str, Any]) -> str:
    if endpoint["enabled"]:
        return "failing" if endpoint["failingSince"] else "enabled"
    return f"disabled ({endpoint['disabledReason']})"


def _path(endpoint: str) -> str:
    return f"/api/webhook-endpoints/{_quoted(endpoint)}"


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
