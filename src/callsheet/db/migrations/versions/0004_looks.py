"""Looks at waiting jobs, by provider."""

from callsheet.db.migrations.script import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make their index anew."""
    run_sql("0004_looks.sql")
