"""The root of the command line, with all commands."""

import os
from typing import Annotated

import typer

from callsheet.cli import (
    ads,
    agents,
    approvals,
    artifacts,
    audit,
    backup,
    batches,
    bulk_actions,
    check,
    clean_up,
    comfyui,
    costs,
    database,
    executions,
    fake_servers,
    intakes,
    jobs,
    keys,
    logs,
    models,
    operations,
    plans,
    providers,
    queues,
    render,
    run,
    schedules,
    serve,
    stored_plans,
    stored_uploads,
    timelines,
    users,
    views,
    webhooks,
    worker,
    workers,
)
from callsheet.cli.errors import EXIT_CODES, ErrorHandlingGroup
from callsheet.cli.examples import add_examples

app = typer.Typer(
    cls=ErrorHandlingGroup,
    help="Self-hosted backend for AI video: durable jobs that turn plans into finished files.",
    epilog="Exit status: " + " · ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()),
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

_SERVICES = ("up", "serve", "worker", "intake")
_LOCAL = "Run on this machine"
_SERVER = "Use a running server"
_INSTALLATION = "Inspect and set up this installation"


def _print_version(wanted: bool) -> None:
    from importlib.metadata import version as version_of

    if wanted:
        typer.echo(version_of("callsheet"))
        raise typer.Exit


def _warn_about_variables(command: str | None) -> None:
    """Print variables without effect, once: `check` lists them among its findings, and a worker has a supervisor."""
    if command == "check" or "CALLSHEET_LIFELINE" in os.environ:
        return
    from callsheet.cli.environment import unknown_variables, unused_variables
    from callsheet.cli.printing import say

    for line in [*unknown_variables(), *(unused_variables() if command in _SERVICES else ())]:
        say(f"Warning: {line}")


@app.callback()
def options(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log at level debug and print tracebacks")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """Read the options of all commands."""
    context.obj = verbose
    _warn_about_variables(context.invoked_subcommand)


app.command(rich_help_panel=_LOCAL)(run.demo)
app.command(rich_help_panel=_LOCAL)(run.run)
app.command(rich_help_panel=_LOCAL)(render.render)
app.command(rich_help_panel=_LOCAL)(serve.up)
app.command(rich_help_panel=_LOCAL)(serve.serve)
app.command(rich_help_panel=_LOCAL)(worker.worker)
app.command(rich_help_panel=_LOCAL)(intakes.intake)
app.command(rich_help_panel=_SERVER)(executions.submit)
app.command(rich_help_panel=_SERVER)(executions.status)
app.command(rich_help_panel=_SERVER)(executions.watch)
app.command(rich_help_panel=_SERVER)(executions.cancel)
app.command(rich_help_panel=_SERVER)(executions.retry)
app.command(rich_help_panel=_SERVER)(logs.logs)
app.command(rich_help_panel=_SERVER)(logs.events)
app.command(rich_help_panel=_SERVER)(artifacts.artifacts)
app.command(rich_help_panel=_SERVER)(artifacts.download)
app.command(rich_help_panel=_SERVER)(agents.mcp)
app.command(rich_help_panel=_SERVER)(audit.audit)
app.command(rich_help_panel=_SERVER)(costs.costs)
app.command("clean-up", rich_help_panel=_SERVER)(clean_up.clean_up)
app.add_typer(executions.group, name="executions", rich_help_panel=_SERVER)
app.add_typer(stored_plans.group, name="plans", rich_help_panel=_SERVER)
app.add_typer(schedules.group, name="schedules", rich_help_panel=_SERVER)
app.add_typer(approvals.group, name="approvals", rich_help_panel=_SERVER)
app.add_typer(batches.group, name="batches", rich_help_panel=_SERVER)
app.add_typer(jobs.group, name="jobs", rich_help_panel=_SERVER)
app.add_typer(bulk_actions.group, name="bulk", rich_help_panel=_SERVER)
app.add_typer(views.group, name="views", rich_help_panel=_SERVER)
app.add_typer(intakes.group, name="intakes", rich_help_panel=_SERVER)
app.add_typer(queues.group, name="queues", rich_help_panel=_SERVER)
app.add_typer(workers.group, name="workers", rich_help_panel=_SERVER)
app.add_typer(ads.group, name="ads", rich_help_panel=_SERVER)
app.add_typer(webhooks.group, name="webhooks", rich_help_panel=_SERVER)
app.add_typer(stored_uploads.group, name="uploads", rich_help_panel=_SERVER)
app.command(rich_help_panel=_INSTALLATION)(check.check)
app.command(rich_help_panel=_INSTALLATION)(backup.backup)
app.command(rich_help_panel=_INSTALLATION)(backup.restore)
app.add_typer(operations.group, name="operations", rich_help_panel=_INSTALLATION)
app.add_typer(models.group, name="models", rich_help_panel=_INSTALLATION)
app.add_typer(comfyui.group, name="comfyui", rich_help_panel=_INSTALLATION)
app.add_typer(providers.group, name="providers", rich_help_panel=_SERVER)
app.add_typer(plans.group, name="plan", rich_help_panel=_INSTALLATION)
app.add_typer(timelines.group, name="timeline", rich_help_panel=_INSTALLATION)
app.add_typer(fake_servers.group, name="dev", rich_help_panel=_INSTALLATION)
app.add_typer(keys.group, name="keys", rich_help_panel=_INSTALLATION)
app.add_typer(users.group, name="users", rich_help_panel=_INSTALLATION)
app.add_typer(users.sessions_group, name="sessions", rich_help_panel=_INSTALLATION)
app.add_typer(database.group, name="db", rich_help_panel=_INSTALLATION)


@app.command(rich_help_panel=_INSTALLATION)
def version() -> None:
    """Print the version."""
    _print_version(True)


add_examples(app)
