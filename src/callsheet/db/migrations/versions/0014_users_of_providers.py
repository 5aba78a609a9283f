"""Users who sign in by an OpenID Connect provider."""

from callsheet.db.migrations.script import run_sql

revision = "0014_users_of_providers"
down_revision = "0013_retention"


def upgrade() -> None:
    """Add the columns."""
    run_sql("0014_users_of_providers.sql")
