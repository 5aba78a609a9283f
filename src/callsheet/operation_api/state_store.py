"""The store of operations that keep state: reads during the run, writes in the transaction of its completion."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class StateStore(Protocol):
    """State of an operation in tables of its own.

        known = await job.store.read("get_counter", name="films")
        job.store.write_with_completion("raise_counter", lock="films", name="films", version=known[0]["version"])

    Statements are named SQL in `callsheet/db/sql/`, and the tables come from a migration. An operation writes only its
    own tables.
    """

    async def read(self, statement: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        """Run a statement in a read-only transaction, and return its rows.

        An outage of the database is waited for. Raises TypeError for an unknown statement, for one that
        writes, and for missing values; JobError for more than 100,000 rows: give the statement a LIMIT.
        """

    def write_with_completion(self, statement: str, *, lock: str, **values: Any) -> None:
        """Register a write for the end of the run.

        The writes of a run take effect together, in their order, in the transaction that records its success: once, and
        only if the run still owns its job. A run that fails, is cancelled, snoozes or adds child jobs writes nothing.

        `lock` names what is written, such as `ads/<tenant>`: writes with the same lock wait for each other. What a run
        has read can be outdated when it writes. So a statement that returns one row or one value (`^`, `$`) must return
        none if that is so: then nothing of this run is written, and the job is retried (`state_conflict`).

        Raises TypeError for an unknown statement or missing values.
        """
