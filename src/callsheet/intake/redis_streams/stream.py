"""The Redis side: a stream with a consumer group, the stored graphs, and the channels."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from pydantic import BaseModel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from callsheet.db.group_commit import GroupCommit
from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.pipelined_redis import PipelinedRedis
from callsheet.intake.redis_connection import UNAVAILABLE
from callsheet.intake.redis_streams.config import WorkerConfiguration
from callsheet.intake.redis_streams.messages import DataUpdate, LanggraphWorkflow, ProgressUpdate, StatusUpdate

_BLOCK_MS = 1000
_MAX_TRANSACTIONS = 50
"""Transactions of concurrent callers that are executed as one."""
_MAX_DEAD = 10_000
"""Entries that are kept in the stream of rejected ones."""


_END = """
local found = redis.pcall('XPENDING', KEYS[2], ARGV[1], ARGV[2], ARGV[2], 1)
local open = not found.err and #found > 0
if open then
  redis.call('SET', KEYS[1], ARGV[3])
end
for i = 8, #ARGV, 3 do
  redis.call('SET', ARGV[i + 1], ARGV[i + 2], 'EX', ARGV[7])
  redis.call('PUBLISH', ARGV[i], ARGV[i + 2])
end
if open then
  if ARGV[6] ~= '' then
    redis.call('XADD', KEYS[3], '*', 'jobId', ARGV[4], ARGV[5], ARGV[3])
  end
  redis.call('XACK', KEYS[2], ARGV[1], ARGV[2])
end
return open and 1 or 0
"""
"""Ends an entry. KEYS: stored graph, stream, control stream. ARGV: group, entry, graph, id of its job, field of graphs,
whether it goes to the control plane, seconds until the last updates expire; channel, key and text of each update."""

Update: TypeAlias = ProgressUpdate | StatusUpdate | DataUpdate
_Transaction: TypeAlias = Callable[[Any], None]
"""Puts the commands of a transaction into a pipeline."""


class GraphStream:
    """One stream, as one consumer of its group. Every method raises SourceUnavailable while Redis does not respond."""

    def __init__(
        self, config: WorkerConfiguration, connection: Mapping[str, Any], *, consumer: str, idle: float
    ) -> None:
        """`idle` is the time in seconds after which entries of other consumers are taken over."""
        self.config = config
        self._consumer = consumer
        self._idle_ms = int(idle * 1000)
        # Its types know every protocol and encoding at once.
        self._client: Any = PipelinedRedis(**connection, decode_responses=True, retry=Retry(NoBackoff(), 0))
        self._end = self._client.register_script(_END)
        self._claim_from = "0-0"
        """Where the search for entries of dead consumers continues: one call looks at few open entries."""
        self._transactions: GroupCommit[_Transaction, None] = GroupCommit(self._execute, max_size=_MAX_TRANSACTIONS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def take(self, limit: int) -> list[tuple[str, dict[str, str]]]:
        """Take entries, up to `limit`: of dead consumers first, then new ones. Waits up to a second."""
        stream, group = self.config.streams.data, self.config.group
        async with _available():
            try:
                claimed = await self._client.xautoclaim(
                    stream, group, self._consumer, min_idle_time=self._idle_ms, start_id=self._claim_from, count=1
                )
                self._claim_from = claimed[0]
                # Entries that were deleted in the meantime have no fields.
                if taken := [(id, fields) for id, fields in claimed[1] if fields]:
                    return taken
                found = await self._client.xreadgroup(
                    group, self._consumer, {stream: ">"}, count=limit, block=_BLOCK_MS
                )
                return found[0][1] if found else []
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self._create_group()
                return []

    async def _create_group(self) -> None:
        try:
            # From the beginning: entries that were added before the first start are not lost.
            await self._client.xgroup_create(self.config.streams.data, self.config.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def keep(self, entries: list[str]) -> None:
        """Note that this consumer still works on entries, including those of a dead one."""
        if not entries:
            return
        async with _available():
            try:
                await self._client.xclaim(
                    self.config.streams.data, self.config.group, self._consumer, 0, entries, justid=True
                )
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise

    async def read_graph(self, job_id: str) -> str | None:
        """Return the stored graph of a job as JSON."""
        async with _available():
            text: str | None = await self._client.get(self._job_key(job_id))
            return text

    async def publish(self, updates: Sequence[Update], graph: LanggraphWorkflow | None = None) -> None:
        """Store the whole graph, if it is given, and publish updates.

        The last of each kind is kept under the name of its channel, for late subscribers.
        """

        def add(pipeline: Any) -> None:
            if graph is not None:
                pipeline.set(self._job_key(graph.job_id), _json(graph))
            self._add_updates(pipeline, updates)

        await self._commit(add)

    async def end(
        self, entry: str, graph: LanggraphWorkflow, updates: Sequence[Update], *, to_control: bool = False
    ) -> None:
        """Store the graph, publish its last updates, hand it to the control plane, and acknowledge the entry.

        An entry that was acknowledged has ended before a crash: then only the updates are published again, because
        earlier ones were repeated. One script does it all, so that nothing comes between.
        """
        sent = [part for update in updates for part in self._published(update)]
        async with _available():
            await self._end(
                keys=[self._job_key(graph.job_id), self.config.streams.data, self.config.streams.control],
                args=[
                    *(self.config.group, entry, _json(graph), graph.job_id, self.config.field),
                    *("1" if to_control else "", self.config.expiry, *sent),
                ],
            )

    def _published(self, update: Update) -> tuple[str, str, str]:
        """Return the channel of an update, the key that keeps the last one, and its text."""
        channel = self._channel(update)
        return channel, f"last:{channel}", _json(update)

    async def reject(self, entry: str, fields: Mapping[str, str], reason: str, job_id: str | None) -> None:
        """Move an entry to the stream of rejected ones, and publish that its job has failed."""

        def add(pipeline: Any) -> None:
            dead = {**fields, "entry": entry, "reason": reason}
            pipeline.xadd(self.config.streams.dead, dead, maxlen=_MAX_DEAD, approximate=True)
            if job_id is not None:
                self._add_updates(pipeline, [StatusUpdate(job_id=job_id, status="failed", error=reason)])
            pipeline.xack(self.config.streams.data, self.config.group, entry)

        await self._commit(add)

    async def _commit(self, add: _Transaction) -> None:
        """Execute the commands that `add` puts into a pipeline, all or none."""
        async with _available():
            await self._transactions.write(add)

    async def _execute(self, transactions: list[_Transaction]) -> list[Exception | None]:
        ends: list[int] = []
        async with self._client.pipeline(transaction=True) as pipeline:
            for add in transactions:
                add(pipeline)
                ends.append(len(pipeline))
            try:
                replies = await pipeline.execute(raise_on_error=False)
            except UNAVAILABLE as error:
                return [error] * len(transactions)
        starts = [0, *ends[:-1]]
        return [_error_in(replies[start:end]) for start, end in zip(starts, ends, strict=True)]

    async def backlog(self) -> int | None:
        """Return the number of entries that no consumer has taken; None if the server does not know it."""
        async with _available():
            try:
                groups = await self._client.xinfo_groups(self.config.streams.data)
            except ResponseError:
                return 0  # no stream yet
            lags = [group.get("lag") for group in groups if group["name"] == self.config.group]
            return int(lags[0]) if lags and lags[0] is not None else None

    def _add_updates(self, pipeline: Any, updates: Sequence[Update]) -> None:
        for update in updates:
            channel, last, text = self._published(update)
            pipeline.set(last, text, ex=self.config.expiry)
            pipeline.publish(channel, text)

    def _channel(self, update: Update) -> str:
        channels = self.config.channels
        template = channels.data
        if isinstance(update, ProgressUpdate):
            template = channels.progress
        elif isinstance(update, StatusUpdate):
            template = channels.status
        return template.replace("{jobId}", update.job_id)

    def _job_key(self, job_id: str) -> str:
        return self.config.job_key.replace("{jobId}", job_id)


def _error_in(replies: Sequence[Any]) -> Exception | None:
    return next((reply for reply in replies if isinstance(reply, Exception)), None)


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        raise SourceUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def _json(message: BaseModel) -> str:
    return json.dumps(message.model_dump(mode="json", by_alias=True), ensure_ascii=False)
