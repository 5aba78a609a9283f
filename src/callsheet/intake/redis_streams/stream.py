"""The Redis side: a stream with a consumer group, the stored graphs, and the channels."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from callsheet.intake.contract import SourceUnavailable
from callsheet.intake.redis_connection import UNAVAILABLE
from callsheet.intake.redis_streams.config import WorkerConfiguration
from callsheet.intake.redis_streams.messages import DataUpdate, LanggraphWorkflow, ProgressUpdate, StatusUpdate

_BLOCK_MS = 1000
_BATCH = 10
_MAX_DEAD = 10_000
"""Entries that are kept in the stream of rejected ones."""


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
        self._client: Any = Redis(**connection, decode_responses=True, retry=Retry(NoBackoff(), 0))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def take(self) -> list[tuple[str, dict[str, str]]]:
        """Take entries: of dead consumers first, then new ones. Waits up to a second."""
        stream, group = self.config.streams.data, self.config.group
        async with _available():
            try:
                claimed = await self._client.xautoclaim(
                    stream, group, self._consumer, min_idle_time=self._idle_ms, start_id="0-0", count=1
                )
                # Entries that were deleted in the meantime have no fields.
                if taken := [(id, fields) for id, fields in claimed[1] if fields]:
                    return taken
                found = await self._client.xreadgroup(
                    group, self._consumer, {stream: ">"}, count=_BATCH, block=_BLOCK_MS
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

    async def is_open(self, entry: str) -> bool:
        """Return whether an entry was not acknowledged yet."""
        async with _available():
            try:
                found = await self._client.xpending_range(self.config.streams.data, self.config.group, entry, entry, 1)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                return False
            return bool(found)

    async def read_graph(self, job_id: str) -> str | None:
        """Return the stored graph of a job as JSON."""
        async with _available():
            text: str | None = await self._client.get(self._job_key(job_id))
            return text

    async def store_graph(self, graph: LanggraphWorkflow) -> None:
        """Store the whole graph."""
        async with _available():
            await self._client.set(self._job_key(graph.job_id), _json(graph))

    async def publish(self, updates: list[ProgressUpdate | StatusUpdate | DataUpdate]) -> None:
        """Publish updates. The last of each kind is kept under the name of its channel, for late subscribers."""
        async with _available(), self._client.pipeline(transaction=True) as pipeline:
            self._add_updates(pipeline, updates)
            await pipeline.execute()

    async def end(self, entry: str, graph: LanggraphWorkflow, update: StatusUpdate | None) -> None:
        """Store the graph, publish its final status or hand it to the control plane, and acknowledge the entry.

        One transaction: a repetition after a crash finds the entry acknowledged.
        """
        async with _available(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(self._job_key(graph.job_id), _json(graph))
            if update is None:
                fields = {"jobId": graph.job_id, self.config.field: _json(graph)}
                pipeline.xadd(self.config.streams.control, fields)
            else:
                self._add_updates(pipeline, [update])
            pipeline.xack(self.config.streams.data, self.config.group, entry)
            await pipeline.execute()

    async def reject(self, entry: str, fields: Mapping[str, str], reason: str, job_id: str | None) -> None:
        """Move an entry to the stream of rejected ones, and publish that its job has failed."""
        async with _available(), self._client.pipeline(transaction=True) as pipeline:
            dead = {**fields, "entry": entry, "reason": reason}
            pipeline.xadd(self.config.streams.dead, dead, maxlen=_MAX_DEAD, approximate=True)
            if job_id is not None:
                self._add_updates(pipeline, [StatusUpdate(job_id=job_id, status="failed", error=reason)])
            pipeline.xack(self.config.streams.data, self.config.group, entry)
            await pipeline.execute()

    async def backlog(self) -> int | None:
        """Return the number of entries that no consumer has taken; None if the server does not know it."""
        async with _available():
            try:
                groups = await self._client.xinfo_groups(self.config.streams.data)
            except ResponseError:
                return 0  # no stream yet
            lags = [group.get("lag") for group in groups if group["name"] == self.config.group]
            return int(lags[0]) if lags and lags[0] is not None else None

    def _add_updates(self, pipeline: Any, updates: list[ProgressUpdate | StatusUpdate | DataUpdate]) -> None:
        for update in updates:
            channel = self._channel(update)
            text = _json(update)
            pipeline.set(f"last:{channel}", text, ex=self.config.expiry)
            pipeline.publish(channel, text)

    def _channel(self, update: ProgressUpdate | StatusUpdate | DataUpdate) -> str:
        channels = self.config.channels
        template = channels.data
        if isinstance(update, ProgressUpdate):
            template = channels.progress
        elif isinstance(update, StatusUpdate):
            template = channels.status
        return template.replace("{jobId}", update.job_id)

    def _job_key(self, job_id: str) -> str:
        return self.config.job_key.replace("{jobId}", job_id)


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except UNAVAILABLE as error:
        raise SourceUnavailable(f"Redis: {type(error).__name__}: {error}") from error


def _json(message: BaseModel) -> str:
    return json.dumps(message.model_dump(mode="json", by_alias=True), ensure_ascii=False)
