"""Which versions of Callsheet may use the schema."""

from callsheet.db.migrations.script import run_sql

revision = "0018_schema_compatibility"
down_revision = "0017_lanes_set_by_hand"


def upgrade() -> None:
    """Add the table."""
    run_sql("0018_schema_compatibility.sql")
