"""The intake `redis-streams`."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import BadInput, BadParams, Problem
from callsheet.domain.event_types import EventType
from callsheet.domain.events import Event
from callsheet.domain.json_text import read_json
from callsheet.domain.records import Execution
from callsheet.domain.statuses import JobStatus
from callsheet.intake.contract import (
    Claimed,
    Delivery,
    Intake,
    IntakeContext,
    MessageKey,
    NothingToRun,
    OpenMessage,
    Outcome,
    Rejection,
    Update,
)
from callsheet.intake.redis_streams.capabilities import capability_manifest
from callsheet.intake.redis_streams.config import load_configuration, redis_options
from callsheet.intake.redis_streams.graph import (
    CAPABILITIES,
    job_ids,
    next_status,
    nodes_to_run,
    plan_of,
    read_graph,
)
from callsheet.intake.redis_streams.messages import (
    DataUpdate,
    LanggraphWorkflow,
    NodeStatus,
    ProgressUpdate,
    StatusUpdate,
)
from callsheet.intake.redis_streams.stream import GraphStream
from callsheet.intake.redis_streams.stream import Update as AnyUpdate

_NODE_STATUS: Mapping[JobStatus, NodeStatus] = {
    JobStatus.SUCCEEDED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "failed",
    JobStatus.RUNNING: "running",
    JobStatus.WAITING: "running",
}
"""Status of a node by that of its job; `pending` for all others."""
_NODE_EVENTS: Mapping[str, NodeStatus] = {
    EventType.JOB_RUNNING: "running",
    EventType.JOB_SUCCEEDED: "completed",
    EventType.JOB_FAILED: "failed",
    EventType.JOB_CANCELLED: "failed",
}
_ENDED = ("completed", "failed")
_MAX_TAKEN = 50
"""Entries that are taken together."""


class RedisStreamsIntake(Intake):
    """Runs the nodes of graphs that are for this plane. Each visit of a graph is one execution."""

    name: ClassVar[str] = "redis-streams"
    # The control plane reads the status of a graph from Redis, and a message is only one visit of it.
    pushes_status: ClassVar[bool] = False

    def __init__(self, context: IntakeContext) -> None:
        super().__init__(context)
        settings = context.settings
        self._config = load_configuration(settings)
        idle = settings.streams_idle.total_seconds()
        self.keep_alive_interval = idle / 4
        self._stream = GraphStream(
            self._config,
            redis_options(settings, self._config),
            consumer=f"callsheet-{context.owner}",
            idle=idle,
        )
        self._last_updates: dict[MessageKey, list[AnyUpdate]] = {}
        """Updates that go together with the end of a message."""

    @property
    def sources(self) -> Sequence[str]:
        """The stream."""
        return [self._config.streams.data]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._stream.close()

    async def receive(self) -> AsyncIterator[Delivery]:
        """Yield entries of the stream."""
        while True:
            for entry, fields in await self._stream.take(min(_MAX_TAKEN, self.context.room)):
                key = MessageKey(self.name, self._config.streams.data, entry)
                graph = fields.get(self._config.field)
                if graph is None and "jobId" in fields:
                    graph = await self._stream.read_graph(fields["jobId"])
                yield Delivery(key, {"fields": fields, "graph": graph}, {"graph": graph})

    async def plan(self, delivery: Delivery) -> Mapping[str, Any]:
        """Return the plan for the nodes that can run in this visit. Raises NothingToRun if there are none."""
        graph = self._read(delivery)
        nodes = nodes_to_run(graph)
        if not nodes:
            raise NothingToRun
        return {"executionPlan": plan_of(graph, nodes), "metadata": {"jobId": graph.job_id}}

    async def answer(self, delivery: Delivery) -> None:
        """Store the graph, and end it or hand it to the control plane."""
        await self._end(delivery.key.message_id, self._read(delivery))

    async def reject(self, delivery: Delivery, rejection: Rejection) -> None:
        """Move the entry to the stream of rejected ones."""
        problems = [f"{problem.path}: {problem.message}" for problem in rejection.problems]
        reason = "\n".join([rejection.message.partition("\n")[0], *problems])
        fields = delivery.body["fields"]
        await self._stream.reject(delivery.key.message_id, fields, reason, _job_id_of(delivery))

    async def report(self, message: OpenMessage, update: Update) -> None:
        """Publish what has happened. After the end of a node, the whole graph is stored."""
        graph = self._graph_of(message.claim["graph"])
        ended = any(event.type in _NODE_EVENTS and event.type != EventType.JOB_RUNNING for event in update.events)
        execution = update.execution
        if ended and execution is None:
            execution = await self.context.execution(message.execution_id, jobs=len(graph.nodes))
        if ended and execution is not None:
            graph = updated_graph(graph, execution)
        updates = _updates_of(graph, update.events)
        if update.execution is not None:
            # The graph is stored at once by `finish`, and these go with it.
            self._last_updates[message.key] = updates
        elif updates:
            await self._stream.publish(updates, graph if ended else None)

    async def finish(self, message: OpenMessage, outcome: Outcome) -> None:
        """Store the graph, and end it or hand it to the control plane."""
        graph = updated_graph(self._graph_of(message.claim["graph"]), outcome.execution)
        if not outcome.succeeded and next_status(graph) != "failed":
            graph.status, graph.error = "failed", outcome.error
        await self._end(message.key.message_id, graph, self._last_updates.get(message.key, ()))
        self._last_updates.pop(message.key, None)

    async def _end(self, entry: str, graph: LanggraphWorkflow, updates: Sequence[AnyUpdate] = ()) -> None:
        status = graph.status if graph.status == "failed" else next_status(graph)
        if status == "running":
            await self._stream.end(entry, graph, updates, to_control=True)
            return
        graph.status = "completed" if status == "completed" else "failed"
        if graph.status == "failed" and graph.error is None:
            graph.error = next((node.error for node in graph.nodes if node.status == "failed"), None)
        final = StatusUpdate(job_id=graph.job_id, status=graph.status, error=graph.error)
        await self._stream.end(entry, graph, [*updates, final])

    async def keep_alive(self, messages: Collection[Claimed]) -> None:
        """Note that the entries are still worked on. Forget what another process has taken over."""
        for key in self._last_updates.keys() - {message.key for message in messages}:
            del self._last_updates[key]
        await self._stream.keep([message.key.message_id for message in messages])

    async def adopted(self, messages: Collection[OpenMessage]) -> None:
        """Take the entries of a process over that has ended."""
        await self._stream.keep([message.key.message_id for message in messages])

    async def backlog(self) -> int | None:
        """Return the number of entries that no consumer has taken."""
        return await self._stream.backlog()

    def _read(self, delivery: Delivery) -> LanggraphWorkflow:
        text = delivery.body["graph"]
        if text is None:
            field = self._config.field
            raise BadParams(
                [Problem(field, "missing", f"the entry has no field '{field}', and no graph is stored for it")]
            )
        return self._graph_of(text)

    def _graph_of(self, text: str) -> LanggraphWorkflow:
        try:
            graph = read_graph(read_json(text.encode()))
        except DocumentError as error:
            raise BadParams([Problem("", "unreadable", error.located)], "The graph is not valid JSON") from None
        for node in graph.nodes:
            if node.plane == "python" and node.task == CAPABILITIES and node.status != "completed":
                node.status, node.output = (
                    "completed",
                    capability_manifest(self.context.catalog).model_dump(by_alias=True),
                )
        return graph


def updated_graph(graph: LanggraphWorkflow, execution: Execution) -> LanggraphWorkflow:
    """Return the graph with the statuses and outputs of an execution."""
    jobs = {job.job_id: job for job in execution.jobs}
    ids = job_ids(graph)
    for node in graph.nodes:
        job = jobs.get(ids[node.id])
        if job is not None and node.status not in _ENDED:
            node.status = _NODE_STATUS.get(job.status, "pending")
            node.output = job.result if job.status == JobStatus.SUCCEEDED else node.output
            node.error = _error_of(job) if node.status == "failed" else None
    return graph


def _updates_of(graph: LanggraphWorkflow, events: Sequence[Event]) -> list[AnyUpdate]:
    """Return what is published about events. The graph has the outputs and errors of ended nodes."""
    names = {job_id: node_id for node_id, job_id in job_ids(graph).items()}
    nodes = {node.id: node for node in graph.nodes}
    updates: list[AnyUpdate] = []
    for event in events:
        node = nodes.get(names.get(event.job_id or "", ""))
        if node is None:
            continue
        about: dict[str, Any] = {"job_id": graph.job_id, "node_id": node.id}
        if event.type == EventType.JOB_PROGRESS:
            updates.append(ProgressUpdate(**about, progress=event.data["progress"], message=event.data.get("message")))
        elif event.type == EventType.JOB_OUTPUT:
            updates.append(DataUpdate(**about, data=event.data))
        elif event.type in _NODE_EVENTS:
            status = _NODE_EVENTS[event.type]
            updates.append(StatusUpdate(**about, status=status, error=node.error))
            if status == "completed":
                updates.append(DataUpdate(**about, data=node.output))
    return updates


def _error_of(job: Any) -> str:
    return (
        f"{job.error.custom_code or job.error.code}: {job.error.message}" if job.error is not None else str(job.status)
    )


def _job_id_of(delivery: Delivery) -> str | None:
    found = delivery.body["fields"].get("jobId")
    if found is not None:
        return str(found)
    try:
        data = read_json((delivery.body["graph"] or "null").encode())
        return str(data["jobId"])[:200]
    except (DocumentError, BadInput, TypeError, KeyError):
        return None
