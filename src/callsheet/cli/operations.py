"""`callsheet operations`: the operations of this installation."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Import, Json

if TYPE_CHECKING:
    from callsheet.domain.records import OperationRecord

group = typer.Typer(help="List and describe the operations of this installation.", invoke_without_command=True)

Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of plans, for editors")]


@group.callback()
def operations(context: typer.Context, as_json: Json = False, schema: Schema = False, modules: Import = None) -> None:
    """List and describe the operations of this installation."""
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


@group.command("show")
def show_operation(
    name: Annotated[str, typer.Argument(metavar="OPERATION", help="Name of the operation, or an alias")],
    as_json: Json = False,
    modules: Import = None,
) -> None:
    """Describe an operation: its params, its result, its queue and needs, and the smallest plan that runs it."""
    from callsheet.cli.bootstrap import discover_operations
    from callsheet.cli.printing import show_json
    from callsheet.domain.did_you_mean import did_you_mean
    from callsheet.domain.errors import NotFound
    from callsheet.operation_api.manifest import describe

    catalog = discover_operations(modules)
    operation = catalog.get(name)
    if operation is None:
        known = [each for op in catalog.operations() for each in (op.name, *op.aliases)]
        raise NotFound(
            f"There is no operation '{name}'{did_you_mean(name, known)} `callsheet operations` lists them; "
            "--import MODULE adds your own."
        )
    record = describe(operation)
    if as_json:
        show_json({**record.model_dump(mode="json", by_alias=True), "example": _example(record)})
    else:
        _show(record)
        _show_steps(record.name)


def _example(record: "OperationRecord") -> dict[str, Any]:
    from callsheet.cli.schema_text import SchemaText

    return {"jobs": [{"id": "job", "operation": record.name, "params": SchemaText(record.params_schema).example()}]}


def _show(record: "OperationRecord") -> None:
    import yaml

    from callsheet.cli.printing import seconds_text, show, show_columns
    from callsheet.cli.schema_text import SchemaText

    aliases = f" (also {', '.join(record.aliases)})" if record.aliases else ""
    attempts = "1 attempt" if record.attempts == 1 else f"up to {record.attempts} attempts"
    show(f"{record.name}{aliases}: {record.summary}")
    show(f"Queue {record.queue}, priority {record.priority}; {attempts}, each at most {seconds_text(record.timeout)}")
    show(f"Needs: {', '.join(record.needs) or 'nothing'}")
    for section, fields in SchemaText(record.params_schema).sections():
        show("")
        show_columns((section or "Params", "TYPE", "MEANING"), fields)
    show("")
    show_columns(("Result", "TYPE", "MEANING"), next(SchemaText(record.result_schema, is_input=False).sections())[1])
    show("")
    show("Example")
    show(yaml.safe_dump(_example(record), sort_keys=False, allow_unicode=True).rstrip())


def _show_steps(operation: str) -> None:
    """Print the commands or endpoints of the steps file with their params."""
    from callsheet.cli.printing import show, show_columns
    from callsheet.cli.schema_text import SchemaText
    from callsheet.outside_steps.declarations import read_steps
    from callsheet.settings import Settings

    if operation not in ("command", "http"):
        return
    steps = read_steps(Settings())
    for step in steps.commands if operation == "command" else steps.endpoints:
        show("")
        show(f"{step.name}: {step.description or 'no description'}")
        for section, fields in SchemaText(step.params).sections():
            show_columns((section or "Params", "TYPE", "MEANING"), fields)
