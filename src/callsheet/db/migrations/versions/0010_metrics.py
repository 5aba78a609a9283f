"""Totals of metrics that survive restarts, an index of events by time, and the traces of executions."""

from callsheet.db.migrations.script import run_sql

revision = "0010_metrics"
down_revision = "0009_operator_moves"


def upgrade() -> None:
    """Create the tables, the column and the index."""
    run_sql("0010_metrics.sql")
