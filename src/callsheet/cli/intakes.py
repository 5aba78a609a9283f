"""`callsheet intake` and `callsheet intakes`: take messages from other queues, and list the processes that do."""

from typing import Annotated

import typer

from callsheet.cli.options import ApiKey, DatabaseUrl, DataDir, Import, Json, Url

group = typer.Typer(help="List the intake processes, and print what they can run.", invoke_without_command=True)


def intake(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the intake, such as bullmq")],
    api_url: Annotated[str | None, typer.Option(metavar="URL", help="polled-api: URL of the API")] = None,
    poll_interval: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="polled-api: time between two polls without a task")
    ] = None,
    max_retries: Annotated[
        int | None, typer.Option(metavar="COUNT", help="polled-api: number of times that a refused result is sent")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log at level debug")] = False,
    modules: Import = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Take messages from another queue until stopped, and report their executions to it.

    The settings name the source. Several processes can run the same intake. At SIGTERM or Ctrl-C, open
    messages are left to the next process: their executions go on.
    """
    from callsheet.cli.bootstrap import configure_command_logging, discover_operations, load_settings
    from callsheet.cli.loop import on_stop_signals, run_async
    from callsheet.cli.telemetry import telemetry
    from callsheet.intake.catalog import load_intake
    from callsheet.intake.runner import IntakeRunner
    from callsheet.processes.garbage_collection import collect_garbage_less_often
    from callsheet.wiring import open_runtime

    options = {
        "polled_api_url": api_url,
        "polled_api_interval": poll_interval,
        "polled_api_max_retries": max_retries,
    }
    if name != "polled-api" and any(value is not None for value in options.values()):
        raise typer.BadParameter("--api-url, --poll-interval and --max-retries are options of polled-api")
    settings = load_settings(data_dir=data_dir, database_url=database_url, **options)
    configure_command_logging(settings, verbose=context.obj or debug)
    kind = load_intake(name)

    async def work() -> None:
        async with open_runtime(settings, discover_operations(modules), wait=True) as runtime:
            runner = IntakeRunner(kind, runtime)
            on_stop_signals(runner.stop)
            collect_garbage_less_often()
            await runner.run()

    with telemetry(settings):
        run_async(work())


@group.callback()
def intakes(context: typer.Context, as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the intake processes."""
    if context.invoked_subcommand is None:
        list_intakes(as_json=as_json, url=url, api_key=api_key)


@group.command()
def capabilities(modules: Import = None) -> None:
    """Print what the intake redis-streams can run as JSON: the file capabilities.json of a control plane.

    It is the answer of the task `get_capabilities`: every operation with the schemas of its params and result.
    """
    from callsheet.cli.bootstrap import discover_operations
    from callsheet.cli.printing import show_json
    from callsheet.intake.redis_streams.capabilities import capability_manifest

    show_json(capability_manifest(discover_operations(modules)).model_dump(by_alias=True))


@group.command("list")
def list_intakes(as_json: Json = False, url: Url = None, api_key: ApiKey = None) -> None:
    """List the intake processes, with their open messages and the messages that wait in their sources."""
    from callsheet.cli.printing import show_columns, show_json, time_text
    from callsheet.cli.queues import records_in
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        response = client.get("/api/intakes")
    if as_json:
        show_json(response)
        return
    headings = ("INTAKE", "STATUS", "HOST", "PID", "OPEN", "BACKLOG", "CLOSED", "REJECTED", "SOURCES", "LAST ERROR")
    show_columns(
        headings,
        [
            (
                each["name"],
                each["status"],
                each["host"],
                each["pid"],
                each["open"],
                "unknown" if each["backlog"] is None else each["backlog"],
                each["closed"],
                each["rejected"],
                ",".join(each["sources"]),
                f"{time_text(each['lastErrorAt'])} {each['lastError']}" if each["lastError"] else "",
            )
            for each in records_in(response, "intakes")
        ],
    )
