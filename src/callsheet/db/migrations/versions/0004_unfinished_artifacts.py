"""Mark the artifacts that were stored before the end of a run that has not succeeded."""

from callsheet.db.migrations.script import run_sql

revision = "0004_unfinished_artifacts"
down_revision = "0003_ads"


def upgrade() -> None:
    """Add the column, and the mark in webhooks."""
    run_sql("0004_unfinished_artifacts.sql")
