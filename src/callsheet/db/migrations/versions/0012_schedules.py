"""Schedules."""

from callsheet.db.migrations.script import run_sql

revision = "0012_schedules"
down_revision = "0010_metrics"


def upgrade() -> None:
    """Add the tables."""
    run_sql("0012_schedules.sql")
