"""Claimers that stand in the table of workers, as the claim asks for."""

from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.queue.claim import Claimer


async def claimer(database, name, operation="noop"):
    """Register a worker that does nothing, and return its id with a claimer."""
    worker = new_id()
    async with database.connection() as connection:
        await sql.register_worker(
            connection, id=worker, name=name, host="here", pid=1, version="1", lanes="{}", operations=[operation]
        )
    return worker, Claimer(database, worker, name, [operation], suspect_from=2)


async def claim_and_die(database, name, most, operation="noop"):
    """Claim as a worker that is gone right after, without a word."""
    worker, claims = await claimer(database, name, operation)
    jobs = (await claims.claim("test", most)).jobs
    async with database.connection() as connection:
        await sql.unregister_worker(connection, id=worker)
    return jobs
