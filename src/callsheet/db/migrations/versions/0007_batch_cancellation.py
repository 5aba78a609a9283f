"""The cancellation of a batch, which several transactions carry out."""

from callsheet.db.migrations.script import run_sql

revision = "0007_batch_cancellation"
down_revision = "0006_ad_winners"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0007_batch_cancellation.sql")
