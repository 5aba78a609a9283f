"""API keys, users, sessions and the audit log."""

from callsheet.db.migrations.script import run_sql

revision = "0008_access"
down_revision = "0007_batch_cancellation"


def upgrade() -> None:
    """Create the tables."""
    run_sql("0008_access.sql")
