"""What operators do with many executions, queues, jobs and workers."""

from callsheet.db.migrations.script import run_sql

revision = "0009_operator_moves"
down_revision = "0008_access"


def upgrade() -> None:
    """Add the tables and columns."""
    run_sql("0009_operator_moves.sql")
