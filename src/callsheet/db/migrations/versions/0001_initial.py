"""The initial schema: executions, jobs, events, artifacts, submissions, workers, queues, outbox, inbox."""

from callsheet.db.migrations.script import run_sql

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    """Create all tables."""
    run_sql("0001_initial.sql")
