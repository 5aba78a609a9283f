"""`callsheet operations`: the operations of this installation."""

from typing import Annotated

import typer

from callsheet.cli.options import Import, Json

group = typer.Typer(help="List the operations of this installation.", invoke_without_command=True)

Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of plans, for editors")]


@group.callback()
def operations(context: typer.Context, as_json: Json = False, schema: Schema = False, modules: Import = None) -> None:
    """List the operations of this installation."""
    if context.invoked_subcommand is None:
        list_operations(as_json=as_json, schema=schema, modules=modules)


@group.command("list")
def list_operations(as_json: Json = False, schema: Schema = False, modules: Import = None) -> None:
    """List the operations with their queues, time limits and needs; with --json also their schemas."""
    from callsheet.cli.bootstrap import discover_operations
    from callsheet.cli.printing import seconds_text, show_columns, show_json
    from callsheet.operation_api.manifest import manifest

    catalog = discover_operations(modules)
    if schema:
        from callsheet.operation_api.plan_schema import plan_schema

        show_json(plan_schema(catalog))
        return
    records = manifest(catalog)
    if as_json:
        show_json([record.model_dump(mode="json", by_alias=True) for record in records])
        return
    headings = ("OPERATION", "ALIASES", "QUEUE", "TIME LIMIT", "NEEDS", "SUMMARY")
    show_columns(
        headings,
        [
            (r.name, ", ".join(r.aliases), r.queue, seconds_text(r.timeout), ", ".join(r.needs), r.summary)
            for r in records
        ],
    )
