"""`callsheet comfyui`: the ComfyUI servers of the settings, and the stored workflows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.comfyui_models import group as models
from callsheet.cli.options import Json

if TYPE_CHECKING:
    from callsheet.comfyui.doctor import Finding
    from callsheet.comfyui.server_records import ServerRecord
    from callsheet.settings import Settings

group = typer.Typer(help="Inspect ComfyUI servers and workflows.", no_args_is_help=True)
group.add_typer(models, name="models")

Name = Annotated[str, typer.Argument(metavar="SERVER", help="Name of the server, as shown by `callsheet comfyui list`")]


@group.command("list")
def list_comfyui(as_json: Json = False) -> None:
    """Show the state of every server, and the stored workflows with their inputs."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import show, show_columns, show_json
    from callsheet.comfyui.health import check_servers
    from callsheet.comfyui.pool import Pool
    from callsheet.comfyui.server_records import server_record

    settings = load_settings()

    async def check() -> "list[ServerRecord]":
        async with Pool(settings) as pool:
            return [server_record(health) for health in await check_servers(pool)]

    servers = run_async(check())
    workflows = _workflow_rows(settings)
    if as_json:
        show_json({"servers": [server.model_dump(mode="json") for server in servers], "workflows": workflows})
        return
    columns = ("name", "state", "since", "version", "queue", "capacity", "tags", "devices", "reason")
    rows = [[_cell(row[name]) for name in columns] for row in map(_server_row, servers)]
    show_columns(("SERVER", "STATE", "SINCE", "VERSION", "QUEUE", "CAPACITY", "TAGS", "DEVICES", "REASON"), rows)
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


@group.command()
def doctor(
    workflow: Annotated[
        str, typer.Argument(metavar="WORKFLOW", help="Name of a stored workflow, or a .json file in either format")
    ],
    server: Annotated[
        str | None,
        typer.Option("--server", help="Name or URL of a server. Default: all servers of COMFYUI_API_URL"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which nodes and models a server lacks for a workflow, and where they come from. Changes nothing.

    Exit status 0 if nothing is missing, else 1.
    """
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import show, show_json
    from callsheet.comfyui.doctor import find_workflow
    from callsheet.comfyui.hosts import find_hosts

    settings = load_settings()
    examined = find_workflow(workflow, settings)
    hosts = find_hosts(settings, server)
    if not hosts:
        raise typer.BadParameter("the managed server runs only with jobs; start ComfyUI, and give its URL as --server")
    reports = run_async(_examine_hosts(examined, hosts, settings))
    if as_json:
        show_json({"workflow": workflow, "servers": reports})
    else:
        for report in reports:
            show(report["error"] or _report_text(report, workflow))
            for finding in report["missing"]:
                show(_finding_text(finding))
    if any(report["error"] or report["missing"] for report in reports):
        raise typer.Exit(1)


@group.command()
def clean(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Folder of ComfyUI with `input` and `output`. Default: the managed one"),
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="Age of the files, such as 12h or 7d")
    ] = "1d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing")] = False,
    as_json: Json = False,
) -> None:
    """Remove old files of jobs from the folders of a ComfyUI server. Run it on the machine of the server.

    Results are copied to the storage when a job ends; ComfyUI itself deletes nothing. Files of others stay.
    """
    from pydantic import TypeAdapter, ValidationError

    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.printing import say, show, show_json, size_text
    from callsheet.comfyui.server_files import find_old_files, managed_base, remove_files
    from callsheet.domain.durations import Duration

    try:
        age = TypeAdapter(Duration).validate_python(older_than)
    except ValidationError:
        raise typer.BadParameter(f"'{older_than}' is no duration; write 12h or 7d", param_hint="--older-than") from None
    base = folder or managed_base(load_settings())
    if not (base / "output").is_dir() and not (base / "input").is_dir():
        raise typer.BadParameter(f"{base} has neither a folder 'input' nor 'output'")
    found = find_old_files(base, seconds=age.total_seconds())
    removed = found if dry_run else remove_files(found)
    if as_json:
        files = [{"path": str(each.path), "bytes": each.bytes} for each in removed]
        show_json({"folder": str(base), "removed": not dry_run, "files": files})
        return
    for each in removed:
        show(str(each.path))
    size = size_text(sum(each.bytes for each in removed))
    say(f"{len(removed)} entries with {size} {'would be' if dry_run else 'were'} removed from {base}")
    if len(removed) < len(found):
        say(f"{len(found) - len(removed)} entries cannot be removed; does another user own them?")


def _report_text(report: dict[str, Any], workflow: str) -> str:
    count = len(report["missing"])
    found = f"lacks {count} thing{'s' * (count > 1)}" if count else "has everything"
    return f"{report['server']} {found} for {workflow}."


async def _examine_hosts(examined: Any, hosts: Any, settings: "Settings") -> list[dict[str, Any]]:
    from callsheet.comfyui.doctor import examine
    from callsheet.comfyui.known_nodes import store_object_info
    from callsheet.comfyui.node_schemas import read_schemas
    from callsheet.comfyui.pool import Pool
    from callsheet.domain.errors import ProviderUnreachable

    reports: list[dict[str, Any]] = []
    async with Pool(settings) as pool:
        for host in hosts:
            report: dict[str, Any] = {"server": host.name, "error": None, "missing": []}
            try:
                async with pool.client(host.url) as client:
                    info = await client.object_info()
                store_object_info(settings, host.name, info)
                report["missing"] = [_finding_row(finding) for finding in examine(examined, read_schemas(info))]
            except ProviderUnreachable as error:
                report["error"] = error.message
            reports.append(report)
    return reports


def _finding_row(finding: "Finding") -> dict[str, Any]:
    fault = finding.fault
    return {
        "kind": fault.kind,
        "node": fault.node,
        "class": fault.class_type,
        "input": fault.input,
        "value": fault.value,
        "message": fault.message,
        "package": finding.package,
        "folder": finding.folder,
        "url": finding.url,
    }


def _finding_text(row: dict[str, Any]) -> str:
    field = row["class"] if row["input"] is None else f"{row['class']}.{row['input']}"
    value = "" if row["value"] is None else f" = {row['value']!r:.120}"
    text = f"{row['kind'].replace('_', ' '):13}  {field}{value} (node {row['node']}): {row['message']}"
    source = [f"package {row['package']}"] if row["package"] else []
    source += [f"into models/{row['folder']}"] if row["folder"] else []
    source += [row["url"]] if row["url"] else []
    return text + (f"\n{'':15}from {', '.join(source)}" if source and row["kind"].startswith("missing") else "")


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


def _server_row(record: "ServerRecord") -> dict[str, Any]:
    """Return the fields of a server, with texts for a table."""
    from callsheet.cli.printing import size_text

    since = record.since.isoformat(timespec="seconds") if record.since else None
    devices = [
        device.name + ("" if device.free is None else f", {size_text(device.free)} free") for device in record.devices
    ]
    return {**record.model_dump(), "since": since, "devices": devices}


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
