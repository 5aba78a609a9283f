"""`callsheet operations`: what jobs can do here."""

from typing import Annotated

import typer

from callsheet.cli.options import Import, Json

group = typer.Typer(help="Show what jobs can do here.", invoke_without_command=True)

Schema = Annotated[
    bool, typer.Option("--schema", help="Print the JSON Schema of plans, for editors that complete and check them")
]


@group.callback()
def operations(context: typer.Context, as_json: Json = False, schema: Schema = False, modules: Import = None) -> None:
    """Show what jobs can do here."""
    if context.invoked_subcommand is None:
        list_operations(as_json=as_json, schema=schema, modules=modules)


@group.command("list")
def list_operations(as_json: Json = False, schema: Schema = False, modules: Import = None) -> None:
    """List the operations that are known here: names, queues, needs, and with --json their schemas."""
    from callsheet.cli.bootstrap import catalog_of
    from callsheet.cli.printing import seconds_text, show_columns, show_json
    from callsheet.operation.manifest import manifest

    catalog = catalog_of(modules)
    if schema:
        from callsheet.operation.plan_schema import plan_schema

        show_json(plan_schema(catalog))
        return
    records = manifest(catalog)
    if as_json:
        show_json([record.model_dump(mode="json", by_alias=True) for record in records])
        return
    heads = ("OPERATION", "ALSO KNOWN AS", "QUEUE", "TIME LIMIT", "NEEDS", "WHAT IT DOES")
    show_columns(
        heads,
        [
            (r.name, ", ".join(r.aliases), r.queue, seconds_text(r.timeout), ", ".join(r.needs), r.summary)
            for r in records
        ],
    )
