"""Connection budget: how many connections the processes of an installation can open, and how many the server allows."""

from dataclasses import dataclass

import structlog

from callsheet.db.database import Connection, Database
from callsheet.db.outages import DATABASE_ERRORS, outage_details
from callsheet.db.statements import sql

log = structlog.get_logger(__name__)

_OF_SERVER = 1
"""Connections of a server beside its pool: it follows events."""
_OF_WORKER = 3
"""Those of a worker: it sends heartbeats, waits for jobs, and follows events."""
SUPERVISOR_POOL = 2
"""Connections of the supervisor of a worker: for its heartbeat, and for its death."""


@dataclass(frozen=True, slots=True)
class ConnectionBudget:
    """What the processes can open, and what the server allows. Numbers of connections."""

    pool_size: int
    """The setting of this process, which is assumed for the others, too."""
    servers: int
    workers: int
    max_connections: int
    """The lowest limit that applies: of the server, of the database, or of the role."""
    reserved: int
    """Kept free by the server for superusers and maintenance."""
    others: int
    """Open connections of other applications."""
    is_pooled: bool
    """Whether a pooler is between the processes and the server."""

    @property
    def needed(self) -> int:
        """Most connections that all servers and workers can have at once."""
        return self.servers * self.of_server + self.workers * self.of_worker

    @property
    def of_server(self) -> int:
        """Most connections of a server."""
        return self.pool_size + _OF_SERVER

    @property
    def of_worker(self) -> int:
        """Most connections of a worker with its supervisor."""
        return self.pool_size + _OF_WORKER + SUPERVISOR_POOL

    @property
    def available(self) -> int:
        """Connections that the server can give to this installation."""
        return max(self.max_connections - self.reserved - self.others, 0)

    @property
    def is_enough(self) -> bool:
        """Whether all processes can use their pools at once."""
        return self.needed <= self.available

    def __str__(self) -> str:
        """Return the calculation as a sentence without a period."""
        text = (
            f"{_count(self.servers, 'server')} (each up to {self.of_server} connections) and "
            f"{_count(self.workers, 'worker')} ({self.of_worker}) can open up to {self.needed} of {self.available} "
            f"connections ({self.max_connections} allowed, {self.reserved} reserved, {self.others} of other "
            "applications)"
        )
        if self.is_pooled:
            text += f"; the pooler before the database must allow {self.needed} sessions, too"
        return text

    @property
    def remedy(self) -> str:
        """What to do if it is not enough."""
        return "lower CALLSHEET_DATABASE_POOL_SIZE, run fewer processes, or raise max_connections of PostgreSQL"


async def read_connection_budget(
    connection: Connection, *, pool_size: int, least_servers: int = 1, starting_workers: int = 0
) -> ConnectionBudget:
    """Return the budget for the servers and workers that run now.

    Servers are counted by their connections, so at least `least_servers` are assumed. `starting_workers` are those that
    are not registered yet.
    """
    row = await sql.connection_facts(connection)
    limits = [row["max_connections"] - row["reserved"], row["database_limit"], row["role_limit"]]
    lowest = min(limit for limit in limits if limit is not None and limit >= 0)
    is_of_server = lowest == limits[0]
    return ConnectionBudget(
        pool_size=pool_size,
        servers=max(row["followers"] - row["workers"], least_servers),
        workers=row["workers"] + starting_workers,
        max_connections=row["max_connections"] if is_of_server else lowest,
        # The limits of a database and of a role are those of this installation alone.
        reserved=row["reserved"] if is_of_server else 0,
        others=row["others"] if is_of_server else 0,
        is_pooled=row["backend"] != connection.get_server_pid(),
    )


async def warn_about_connections(database: Database, *, pool_size: int, starting_workers: int = 0) -> None:
    """Log a warning if the processes can open more connections than the server allows."""
    try:
        budget = await database.retry(
            lambda c: read_connection_budget(c, pool_size=pool_size, starting_workers=starting_workers), timeout=5
        )
    except DATABASE_ERRORS as error:
        log.debug("could not read the connection budget", error=outage_details(error))
        return
    if not budget.is_enough:
        log.warning("the database may run out of connections", budget=str(budget), remedy=budget.remedy)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
