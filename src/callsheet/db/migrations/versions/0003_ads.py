"""Tables of the ads loop: touches, deals, credits, stages, daily metrics, arms of the sampler."""

from callsheet.db.migrations.script import run_sql

revision = "0003_ads"
down_revision = "0002_stored_plans"


def upgrade() -> None:
    """Create the tables."""
    run_sql("0003_ads.sql")
