"""The connections of all processes against what PostgreSQL allows."""

from collections.abc import AsyncIterator

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.db.connection_budget import read_connection_budget


async def connections(installation: Installation) -> AsyncIterator[Finding]:
    """Report whether all servers and workers can use their pools at once."""
    pool_size = installation.settings.database_pool_size
    budget = await installation.read(lambda connection: read_connection_budget(connection, pool_size=pool_size))
    if budget is None:
        return
    if budget.is_enough:
        yield ok("connections", str(budget))
    else:
        yield Finding("connections.too_few", str(budget), budget.remedy)
