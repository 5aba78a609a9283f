"""Execute the SQL file of a migration."""

import re
from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy.util import await_only


def run_sql(name: str) -> None:
    """Execute an SQL file of `versions/` on the connection of the migration, inside its transaction.

    Its tables are in the first schema of the search path. `reporting.` stands for the schema of the views, which has
    another name in an installation with another schema.
    """
    text = (Path(__file__).parent / "versions" / name).read_text("utf-8")
    config = op.get_context().config
    schema = config.attributes["reporting_schema"] if config else "reporting"
    text = re.sub(r"\breporting\.", f'"{schema}".', text)
    # Bypass SQLAlchemy: it prepares statements, and a prepared statement holds one command only.
    connection: Any = op.get_bind().connection.driver_connection
    await_only(connection.execute(text))
