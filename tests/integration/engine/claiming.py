"""Registered claimers: a claim requires a row in the table of workers."""

from callsheet.db.statements import sql
from callsheet.domain.ids import new_id
from callsheet.queue.claim import Claimer


async def claimer(database, name, operation="noop"):
    """Register a worker without loops. Return its id and its claimer."""
    worker = new_id()
    async with database.connection() as connection:
        await sql.register_worker(
            connection,
            id=worker,
            name=name,
            host="here",
            pid=1,
            version="1",
            lanes="{}",
            operations=[operation],
            missing="{}",
            timeout=30,
            only_reserved=False,
        )
    return worker, Claimer(database, worker, name, [operation], suspect_from=2)


async def claim_and_die(database, name, limit, operation="noop"):
    """Claim up to `limit` jobs as a worker that unregisters right afterwards, as if it had died."""
    worker, claims = await claimer(database, name, operation)
    jobs = (await claims.claim("test", limit)).jobs
    async with database.connection() as connection:
        await sql.unregister_worker(connection, id=worker)
    return jobs
