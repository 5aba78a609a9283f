"""Lanes set by hand, which survive the worker."""

from callsheet.db.migrations.script import run_sql

revision = "0017_lanes_set_by_hand"
down_revision = "0016_clean_up"


def upgrade() -> None:
    """Add the table and the column."""
    run_sql("0017_lanes_set_by_hand.sql")
