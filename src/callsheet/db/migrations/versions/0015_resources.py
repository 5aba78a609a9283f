"""Measurements of the machines of workers."""

from callsheet.db.migrations.script import run_sql

revision = "0015_resources"
down_revision = "0014_users_of_providers"


def upgrade() -> None:
    """Add the table."""
    run_sql("0015_resources.sql")
