"""Which versions of Callsheet may use the schema."""

from callsheet.db.migrations.script import run_sql

revision = "0018_schema_compatibility"
down_revision = "0016_clean_up"


def upgrade() -> None:
    """Add the table."""
    run_sql("0018_schema_compatibility.sql")
