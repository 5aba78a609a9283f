"""`callsheet webhooks`: information for receivers of webhooks."""

import typer

from callsheet.cli.options import DataDir

group = typer.Typer(help="Show what receivers of webhooks need.", no_args_is_help=True)


@group.callback()
def webhooks() -> None:
    """Show what receivers of webhooks need."""


@group.command()
def secret(data_dir: DataDir = None) -> None:
    """Print the secret that verifies webhook signatures (Standard Webhooks, whsec_…)."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.printing import show
    from callsheet.files.signed_urls import signing_key
    from callsheet.notify.signature import installation_secret, secret_text

    show(secret_text(installation_secret(signing_key(load_settings(data_dir=data_dir)))))
