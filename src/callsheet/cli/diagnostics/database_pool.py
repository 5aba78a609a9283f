"""The number of database connections of a process against the number of its jobs."""

from collections.abc import AsyncIterator, Mapping

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.wiring import select_lanes

_SLOTS_PER_CONNECTION = 16
"""A job needs a connection when it starts, when it ends and for its events, each for some milliseconds."""


async def database_pool(installation: Installation) -> AsyncIterator[Finding]:
    """Report a pool that is small for the slots of a worker with all queues."""
    settings = installation.settings
    yield pool_finding(settings.database_pool_size, select_lanes(installation.catalog.queues(), {}, settings))


def pool_finding(connections: int, lanes: Mapping[str, int]) -> Finding:
    """Return what the number of connections of a process means for the slots of its lanes, by queue."""
    slots = sum(lanes.values())
    message = f"{slots} slots of {len(lanes)} lanes share {connections} database connections"
    if slots <= connections * _SLOTS_PER_CONNECTION:
        return ok("database_pool", message)
    needed = -(-slots // _SLOTS_PER_CONNECTION)
    return Finding(
        "database_pool.small",
        f"{message}: short jobs wait for one another",
        f"set CALLSHEET_DATABASE_POOL_SIZE={needed}, or fewer slots in CALLSHEET_LANES",
    )
