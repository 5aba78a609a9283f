"""A list of the films that came in by /v1/videos."""

from callsheet.db.migrations.script import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add its index."""
    run_sql("0003_videos.sql")
