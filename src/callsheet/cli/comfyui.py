"""`callsheet comfyui`: the ComfyUI servers that the settings name, and the workflows that are stored here."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Json

if TYPE_CHECKING:
    from callsheet.comfyui.pool import ServerHealth
    from callsheet.settings import Settings

group = typer.Typer(help="Look at ComfyUI servers and workflows.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="SERVER", help="Name of the server, as `callsheet comfyui list` tells it")]


@group.command("list")
def list_comfyui(as_json: Json = False) -> None:
    """Ask every server how it is, and list the stored workflows with what they take."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import show, show_columns, show_json
    from callsheet.comfyui.pool import check_servers, open_pool

    settings = load_settings()

    async def ask() -> "list[ServerHealth]":
        return await check_servers(open_pool(settings))

    servers = [_server(health, settings) for health in run_async(ask())]
    workflows = _workflows(settings)
    if as_json:
        show_json({"servers": servers, "workflows": workflows})
        return
    heads = ("SERVER", "STATE", "VERSION", "QUEUE", "CAPACITY", "TAGS", "DEVICES", "REMARK")
    keys = ("name", "state", "version", "queue", "capacity", "tags", "devices", "remark")
    show_columns(heads, [[_cell(server[key]) for key in keys] for server in servers])
    if workflows:
        show("")
        rows = [[_cell(workflow[key]) for key in ("name", "takes", "tags", "remark")] for workflow in workflows]
        show_columns(("WORKFLOW", "TAKES", "TAGS", "REMARK"), rows)


@group.command()
def drain(name: Name) -> None:
    """Send a server no new jobs, from the workers that share this data folder; what runs there goes on."""
    _mark(name, drained=True)


@group.command()
def resume(name: Name) -> None:
    """Send a drained server jobs again."""
    _mark(name, drained=False)


def _mark(name: str, *, drained: bool) -> None:
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.printing import say
    from callsheet.comfyui.hosts import parse_hosts
    from callsheet.comfyui.pool import OWN
    from callsheet.comfyui.pool import drain as mark

    settings = load_settings()
    known = [host.name for host in parse_hosts(settings)] + ([OWN] if settings.comfyui_path else [])
    if name not in known:
        raise typer.BadParameter(f"there is no server '{name}'; there are: {', '.join(known)}")
    mark(settings, name, drained=drained)
    say(f"{name} gets {'no new jobs' if drained else 'jobs again'}.")


def _server(health: "ServerHealth", settings: "Settings") -> dict[str, Any]:
    from callsheet.cli.printing import size_text
    from callsheet.comfyui.pool import drained_servers
    from callsheet.files.fetch import redact_url

    host, own = health.server.host, health.server.child is not None
    state = "ours" if own else "working" if health.reachable else "lost"
    drained = host.name in drained_servers(settings)
    return {
        "name": host.name,
        "url": redact_url(host.url) if host.url else None,
        "state": "paused" if drained else state,
        "version": health.version,
        "queue": health.waiting if health.reachable else None,
        "capacity": host.capacity,
        "tags": sorted(host.tags),
        "devices": [
            f"{device.get('name')}, {size_text(int(device.get('vram_free') or 0))} free" for device in health.devices
        ],
        "remark": health.reason,
    }


def _workflows(settings: "Settings") -> list[dict[str, Any]]:
    from callsheet.comfyui.workflows import stored_workflows

    return [_workflow(name, settings) for name in stored_workflows(settings)]


def _workflow(name: str, settings: "Settings") -> dict[str, Any]:
    from callsheet.comfyui.workflows import form_of, load_workflow
    from callsheet.domain.errors import ConfigurationError

    try:
        workflow = load_workflow(name, settings)
    except ConfigurationError as error:
        return {"name": name, "takes": [], "tags": [], "inputs": None, "remark": str(error)}
    takes = [f"{name}{'' if spec.is_required else '?'}" for name, spec in workflow.about.inputs.items()]
    remark = workflow.about.description or None
    return {
        "name": name,
        "takes": takes,
        "tags": workflow.about.tags,
        "inputs": form_of(workflow),
        "remark": remark,
    }


def _cell(value: Any) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
