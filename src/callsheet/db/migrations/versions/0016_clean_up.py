"""Temporary files of machines, and files of the storage that nothing names."""

from callsheet.db.migrations.script import run_sql

revision = "0016_clean_up"
down_revision = "0015_resources"


def upgrade() -> None:
    """Add the tables."""
    run_sql("0016_clean_up.sql")
