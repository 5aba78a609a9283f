"""Winning ads."""

from callsheet.db.migrations.script import run_sql

revision = "0006_ad_winners"
down_revision = "0005_approvals"


def upgrade() -> None:
    """Create the tables."""
    run_sql("0006_ad_winners.sql")
