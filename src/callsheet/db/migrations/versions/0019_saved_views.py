"""Named filters of lists, rates of queues, and the index of what budgets reserve."""

from callsheet.db.migrations.script import run_sql

revision = "0019_saved_views"
down_revision = "0018_schema_compatibility"


def upgrade() -> None:
    """Create the tables, and replace the index."""
    run_sql("0019_saved_views.sql")
