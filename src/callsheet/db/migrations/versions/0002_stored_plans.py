"""Stored plans and batches."""

from callsheet.db.migrations.script import run_sql

revision = "0002_stored_plans"
down_revision = "0001_initial"


def upgrade() -> None:
    """Create the tables."""
    run_sql("0002_stored_plans.sql")
