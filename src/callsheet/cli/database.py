"""`callsheet db`: the database's schema."""

import typer

from callsheet.cli.options import DatabaseUrl, DataDir

group = typer.Typer(help="Look after the database.", no_args_is_help=True)


@group.callback()
def db() -> None:
    """Look after the database."""


@group.command()
def upgrade(context: typer.Context, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database to the schema of this version. Safe to run at any time, by any number at once."""
    from callsheet.cli.bootstrap import load_settings, log_as
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say
    from callsheet.wiring import open_database

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    log_as(settings, verbose=context.obj, level="warning")

    async def work() -> None:
        from callsheet.db.migrations import HEAD

        async with open_database(settings, migrate=True):
            say(f"The database has schema revision {HEAD}.")

    run_async(work())
