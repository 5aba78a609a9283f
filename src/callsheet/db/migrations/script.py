"""Execute the SQL file of a migration."""

from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy.util import await_only


def run_sql(name: str) -> None:
    """Execute an SQL file of `versions/` on the connection of the migration, inside its transaction."""
    text = (Path(__file__).parent / "versions" / name).read_text("utf-8")
    # Bypass SQLAlchemy: it prepares statements, and a prepared statement holds one command only.
    connection: Any = op.get_bind().connection.driver_connection
    await_only(connection.execute(text))
