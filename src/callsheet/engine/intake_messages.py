"""Messages that intakes have taken from other queues, and the executions they became."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import BadInput


@dataclass(frozen=True, slots=True)
class MessageKey:
    """Identity of a message: where it came from, its id there, and the attempt of the source."""

    intake: str
    source: str
    message_id: str
    attempt: str = "1"

    def __str__(self) -> str:
        """Return source and id, for logs."""
        return f"{self.source}/{self.message_id}"


@dataclass(frozen=True, slots=True)
class IntakeMessage:
    """A taken message, to be stored in the transaction that stores its plan."""

    key: MessageKey
    claim: Mapping[str, Any]
    """What the intake needs to report to the source, in any process. JSON values."""
    owner: UUID
    """Id of the intake process."""
    lease: float
    """Seconds after which another process takes the message over, unless the owner renews it."""
    product_id: str
    """Id of the job in the product that sent the message."""
    encoded_claim: str = field(init=False)

    def __post_init__(self) -> None:
        """Encode the claim. Raises BadInput for values that cannot be stored."""
        key = self.key
        if any("\x00" in text for text in (key.source, key.message_id, key.attempt, self.product_id)):
            raise BadInput("The id of the message contains a NUL character.")
        encoded = orjson.dumps(dict(self.claim)).decode()
        if "\\u0000" in encoded:
            raise BadInput("The message contains a NUL character.")
        object.__setattr__(self, "encoded_claim", encoded)


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """A message whose end was not reported yet."""

    key: MessageKey
    execution_id: UUID
    claim: dict[str, Any]
    reported_event: int = 0
    """Number of the newest event that was reported to the source."""
    product_id: str = ""
    """Id of the job in the product that sent the message."""


async def is_known_message(connection: Connection, message: IntakeMessage) -> bool:
    """Return whether a message was taken before."""
    key = message.key
    known: bool = await sql.is_known_message(
        connection, intake=key.intake, source=key.source, message_id=key.message_id, attempt=key.attempt
    )
    return known


async def take_messages(
    connection: Connection, messages: Sequence[IntakeMessage], execution_ids: Sequence[UUID]
) -> list[UUID]:
    """Store messages in the transaction that stores their executions.

    Returns the execution of each message: the given one, or for a message that was delivered again, the first one.
    """
    rows = await sql.take_messages(
        connection,
        intakes=[each.key.intake for each in messages],
        sources=[each.key.source for each in messages],
        message_ids=[each.key.message_id for each in messages],
        attempts=[each.key.attempt for each in messages],
        execution_ids=execution_ids,
        claims=[each.encoded_claim for each in messages],
        product_ids=[each.product_id for each in messages],
        owners=[each.owner for each in messages],
        lease=max(each.lease for each in messages),
    )
    by_place = {row["place"]: row["execution_id"] for row in rows}
    return [by_place[place] for place in range(1, len(messages) + 1)]


class MessageStore:
    """The open messages of one intake process."""

    def __init__(self, database: Database, intake: str, owner: UUID, *, lease: float) -> None:
        """`lease` is in seconds: another process takes the messages over if they are not renewed for so long."""
        self._database = database
        self._lease = lease
        self._intake = intake
        self._owner = owner

    async def adopt(self, limit: int) -> list[OpenMessage]:
        """Take over up to `limit` open messages of processes that have ended."""
        rows = await self._database.retry(
            lambda c: sql.adopt_messages(c, intake=self._intake, owner=self._owner, lease=self._lease, limit=limit)
        )
        return [
            OpenMessage(
                MessageKey(self._intake, row["source"], row["message_id"], row["attempt"]),
                row["execution_id"],
                orjson.loads(row["claim"]),
                row["reported_event"],
                row["product_id"],
            )
            for row in rows
        ]

    async def renew(self, reported: Mapping[MessageKey, int]) -> set[UUID]:
        """Extend the ownership of messages, and store the newest reported event of each.

        Returns the executions of those that this process still owns.
        """
        rows = await self._database.retry(
            lambda c: sql.renew_messages(c, **self._arguments(reported), lease=self._lease)
        )
        return {row["execution_id"] for row in rows}

    async def close(self, reported: Mapping[MessageKey, int]) -> None:
        """Close messages whose end was reported and whose claim was released."""
        await self._database.retry(lambda c: sql.close_messages(c, **self._arguments(reported)))

    async def release(self) -> None:
        """Give all open messages up, for the successor of this process."""
        await self._database.retry(lambda c: sql.release_messages(c, intake=self._intake, owner=self._owner), timeout=5)

    def _arguments(self, reported: Mapping[MessageKey, int]) -> dict[str, Any]:
        keys: Collection[MessageKey] = reported.keys()
        return {
            "intakes": [self._intake] * len(keys),
            "owners": [self._owner] * len(keys),
            "sources": [key.source for key in keys],
            "message_ids": [key.message_id for key in keys],
            "attempts": [key.attempt for key in keys],
            "reported": list(reported.values()),
        }


async def find_attempts(database: Database, intake: str, messages: Sequence[tuple[str, str]]) -> list[str]:
    """Return the attempt of the open message with each source and id; if there is none, the number of a new attempt."""
    rows = await database.repeat(
        lambda: database.retry(
            lambda c: sql.find_attempts(
                c,
                intakes=[intake] * len(messages),
                sources=[source for source, _ in messages],
                message_ids=[message_id for _, message_id in messages],
            )
        ),
        timeout=float("inf"),
    )
    return [row["attempt"] for row in rows]


async def find_message_execution(database: Database, intake: str, source: str, message_id: str) -> UUID | None:
    """Return the newest execution of a message; None if it is unknown."""
    row = await database.retry(lambda c: sql.find_message(c, intake=intake, source=source, message_id=message_id))
    return None if row is None else row["execution_id"]
