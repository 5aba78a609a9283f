"""What it takes to know an order again."""

from callsheet.db.migrations.script import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add its place."""
    run_sql("0005_sought.sql")
