"""The first schema: executions, jobs, events, artifacts, workers, queues, outbox."""

from callsheet.db.migrations.script import run_sql

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    run_sql("0001_initial.sql")
