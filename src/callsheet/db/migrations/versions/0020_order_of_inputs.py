"""The order in which a stored plan declares its inputs."""

from callsheet.db.migrations.script import run_sql

revision = "0020_order_of_inputs"
down_revision = "0019_saved_views"


def upgrade() -> None:
    """Add the column."""
    run_sql("0020_order_of_inputs.sql")
