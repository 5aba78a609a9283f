"""Orders of providers, and jobs that wait for them."""

from callsheet.db.migrations.script import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what a job waits for, the submissions and the inbox."""
    run_sql("0002_waiting.sql")
