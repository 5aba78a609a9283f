"""Approvals."""

from callsheet.db.migrations.script import run_sql

revision = "0005_approvals"
down_revision = "0004_unfinished_artifacts"


def upgrade() -> None:
    """Create the table."""
    run_sql("0005_approvals.sql")
