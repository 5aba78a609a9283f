"""What is left of deleted executions."""

from callsheet.db.migrations.script import run_sql

revision = "0013_retention"
down_revision = "0012_schedules"


def upgrade() -> None:
    """Add the tables."""
    run_sql("0013_retention.sql")
