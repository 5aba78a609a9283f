"""Running the SQL body of a migration."""

from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy.util import await_only


def run_sql(name: str) -> None:
    """Run a whole SQL file of `versions/` on the migration's own connection, inside its transaction."""
    text = (Path(__file__).parent / "versions" / name).read_text()
    # Straight to the driver: SQLAlchemy prepares what it is given, and a prepared statement is one command only.
    connection: Any = op.get_bind().connection.driver_connection
    await_only(connection.execute(text))
