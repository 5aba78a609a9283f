"""`callsheet plans`: store plans on a server, and list, show and delete them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from callsheet.cli.options import ApiKey, Json, PlanFile, Url

group = typer.Typer(
    help="Store plans on a server to run them by name; list, show and delete them.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the stored plan")]
Version = Annotated[int | None, typer.Option("--version", min=1, help="Version; default: the newest")]


@group.command()
def push(
    plan: PlanFile,
    name: Annotated[
        str | None, typer.Option("--name", help="Name to run it by; default: the name of the file without suffix")
    ] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Store a plan as the newest version of its name. The same plan again is no new version."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.plans import plan_file
    from callsheet.cli.printing import say, show_json
    from callsheet.cli.remote import connect

    if name is None and plan == "-":
        raise typer.BadParameter("a plan from standard input needs a name", param_hint="--name")
    with plan_file(plan, load_settings()) as data, connect(url, api_key) as client:
        stored = client.post("/api/plans", {"name": name or Path(plan).stem, "plan": _plan_of(data)})
    if as_json:
        show_json(stored)
        return
    say(f"Stored: {stored['name']}, version {stored['version']}.")
    required = [each for each, declared in stored["inputs"].items() if each in stored["inputsSchema"]["required"]]
    options = "".join(f" --input {each}=…" for each in required)
    say(f"To run it: callsheet submit {stored['name']}{options}")


def _plan_of(data: Any) -> Any:
    if isinstance(data, dict):
        return data.get("executionPlan") or data.get("execution_plan") or data
    return {"jobs": data}


@group.command("list")
def list_plans(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the stored plans and those that come with Callsheet."""
    from callsheet.cli.printing import show_columns, show_json
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        plans = client.get("/api/plans")
    if as_json:
        show_json(plans)
        return
    rows = [
        (each["name"], each["version"] or "included", ", ".join(each["inputs"]), each["description"] or each["title"])
        for each in plans["plans"]
    ]
    show_columns(("PLAN", "VERSION", "INPUTS", "DESCRIPTION"), rows)


@group.command()
def show(name: Name, version: Version = None, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show a plan: its inputs, then its jobs."""
    from callsheet.cli.printing import show, show_columns, show_json
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    with connect(url, api_key) as client:
        plan = client.get(f"/api/plans/{path_part('name', name)}", version=version)
    if as_json:
        show_json(plan)
        return
    show(f"{plan['name']}, {'version ' + str(plan['version']) if plan['version'] else 'comes with Callsheet'}")
    if plan["description"]:
        show(plan["description"])
    show("")
    required = plan["inputsSchema"]["required"]
    show_columns(
        ("INPUT", "TYPE", "DEFAULT", "DESCRIPTION"),
        [
            (each, declared["type"], "required" if each in required else declared["default"], declared["description"])
            for each, declared in plan["inputs"].items()
        ],
    )
    show("")
    jobs = plan["plan"]["jobs"]
    show_columns(("JOB", "OPERATION"), [(job["id"], job["operation"]) for job in jobs])


@group.command()
def versions(name: Name, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the versions of a stored plan, newest first."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    with connect(url, api_key) as client:
        found = client.get(f"/api/plans/{path_part('name', name)}/versions")
    if as_json:
        show_json(found)
    else:
        rows = [(each["version"], time_text(each["createdAt"])) for each in found["versions"]]
        show_columns(("VERSION", "STORED"), rows)


@group.command()
def delete(name: Name, url: Url = None, api_key: ApiKey = None) -> None:
    """Delete all versions of a stored plan. Its executions stay."""
    from callsheet.cli.printing import say
    from callsheet.cli.remote import connect
    from callsheet.client.url_paths import path_part

    with connect(url, api_key) as client:
        client.request("DELETE", f"/api/plans/{path_part('name', name)}")
    say(f"Deleted: {name}")
