"""`callsheet db`: the schema of the database."""

import typer

from callsheet.cli.options import DatabaseUrl, DataDir

group = typer.Typer(help="Manage the database.", no_args_is_help=True)


@group.callback()
def db() -> None:
    """Manage the database."""


@group.command()
def upgrade(context: typer.Context, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Upgrade the database to the schema of this version. Safe at any time, also concurrently."""
    from callsheet.cli.bootstrap import configure_command_logging, load_settings
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say
    from callsheet.wiring import open_database

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    configure_command_logging(settings, verbose=context.obj, level="warning")

    async def work() -> None:
        from callsheet.db.upgrade import current_revision

        async with open_database(settings, migrate=True) as database:
            say(f"The database has schema revision {await current_revision(database.address)}.")

    run_async(work())
