"""`callsheet comfyui`: the ComfyUI servers of the settings, and the stored workflows."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Json

if TYPE_CHECKING:
    from callsheet.comfyui.health import ServerHealth
    from callsheet.settings import Settings

group = typer.Typer(help="Inspect ComfyUI servers and workflows.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="SERVER", help="Name of the server, as shown by `callsheet comfyui list`")]


@group.command("list")
def list_comfyui(as_json: Json = False) -> None:
    """Show the state of every server, and the stored workflows with their inputs."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import show, show_columns, show_json
    from callsheet.comfyui.health import check_servers
    from callsheet.comfyui.pool import Pool

    settings = load_settings()

    async def check() -> "list[ServerHealth]":
        async with Pool(settings) as pool:
            return await check_servers(pool)

    servers = [_server_row(health, settings) for health in run_async(check())]
    workflows = _workflow_rows(settings)
    if as_json:
        show_json({"servers": servers, "workflows": workflows})
        return
    columns = ("name", "state", "version", "queue", "capacity", "tags", "devices", "remark")
    rows = [[_cell(server[name]) for name in columns] for server in servers]
    show_columns(("SERVER", "STATE", "VERSION", "QUEUE", "CAPACITY", "TAGS", "DEVICES", "REMARK"), rows)
    if workflows:
        show("")
        rows = [[_cell(workflow[name]) for name in ("name", "takes", "tags", "remark")] for workflow in workflows]
        show_columns(("WORKFLOW", "INPUTS", "TAGS", "REMARK"), rows)


@group.command()
def drain(name: Name) -> None:
    """Send no new jobs to a server, from all workers that share this data folder; running jobs continue."""
    _set_drained(name, drained=True)


@group.command()
def resume(name: Name) -> None:
    """Send jobs to a drained server again."""
    _set_drained(name, drained=False)


def _set_drained(name: str, *, drained: bool) -> None:
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.printing import say
    from callsheet.comfyui.drain import set_drained
    from callsheet.comfyui.hosts import parse_hosts
    from callsheet.comfyui.server import MANAGED_NAME

    settings = load_settings()
    known = [host.name for host in parse_hosts(settings)] + ([MANAGED_NAME] if settings.comfyui_path else [])
    if name not in known:
        raise typer.BadParameter(f"there is no server '{name}'; known servers: {', '.join(known)}")
    set_drained(settings, name, drained=drained)
    say(f"{name} gets no new jobs." if drained else f"{name} gets jobs again.")


def _server_row(health: "ServerHealth", settings: "Settings") -> dict[str, Any]:
    from callsheet.cli.printing import size_text
    from callsheet.comfyui.drain import drained_servers
    from callsheet.files.fetch import redact_url

    host, managed = health.server.host, health.server.managed is not None
    state = "managed" if managed else "reachable" if health.reachable else "unreachable"
    if host.name in drained_servers(settings):
        state = "drained"
    return {
        "name": host.name,
        "url": redact_url(host.url) if host.url else None,
        "state": state,
        "version": health.version,
        "queue": health.queue_depth if health.reachable else None,
        "capacity": host.capacity,
        "tags": sorted(host.tags),
        "devices": [
            f"{device.get('name')}, {size_text(int(device.get('vram_free') or 0))} free" for device in health.devices
        ],
        "remark": health.reason,
    }


def _workflow_rows(settings: "Settings") -> list[dict[str, Any]]:
    from callsheet.comfyui.workflows import stored_workflows

    return [_workflow_row(name, settings) for name in stored_workflows(settings)]


def _workflow_row(name: str, settings: "Settings") -> dict[str, Any]:
    from callsheet.comfyui.workflow_inputs import input_schema
    from callsheet.comfyui.workflows import load_workflow
    from callsheet.domain.errors import ConfigurationError

    try:
        workflow = load_workflow(name, settings)
    except ConfigurationError as error:
        return {"name": name, "takes": [], "tags": [], "inputs": None, "remark": str(error)}
    description = workflow.description
    return {
        "name": name,
        "takes": [f"{name}{'' if spec.is_required else '?'}" for name, spec in description.inputs.items()],
        "tags": description.tags,
        "inputs": input_schema(workflow),
        "remark": description.description or None,
    }


def _cell(value: Any) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
