"""The messages on streams and channels. Their JSON Schemas are in the folder `schemas`."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

NodeStatus = Literal["pending", "running", "completed", "failed"]


class _Message(BaseModel):
    """Unknown fields are kept, since a graph is written back whole."""

    model_config = ConfigDict(extra="allow", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)


class LanggraphNode(_Message):
    """One node of a graph."""

    id: str = Field(min_length=1, max_length=200)
    plane: str = Field(description="`python`: run here; anything else is run by the control plane")
    task: str = Field("", description="Name of the operation, for the plane `python`")
    params: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="Parameter → output of a preceding node, as `node` or `node.field`"
    )
    depends_on: list[str] = Field(
        default_factory=list,
        alias="dependsOn",
        validation_alias=AliasChoices("dependsOn", "depends_on", "dependencies"),
        description="Ids of the preceding nodes",
    )
    status: NodeStatus = "pending"
    output: Any = None
    error: str | None = None


class LanggraphEdge(_Message):
    """A dependency between two nodes."""

    source: str = Field(alias="from", validation_alias=AliasChoices("from", "source"))
    target: str = Field(alias="to", validation_alias=AliasChoices("to", "target"))


class LanggraphWorkflow(_Message):
    """A graph with the state of each node."""

    job_id: str = Field(
        alias="jobId", validation_alias=AliasChoices("jobId", "job_id", "id"), min_length=1, max_length=200
    )
    status: NodeStatus = "pending"
    nodes: list[LanggraphNode] = Field(min_length=1, max_length=2000)
    edges: list[LanggraphEdge] = Field(default_factory=list, max_length=20_000)
    error: str | None = None


def _now() -> str:
    return datetime.now(UTC).isoformat()


class ProgressUpdate(_Message):
    """Published on `channel:progress:{jobId}`."""

    job_id: str = Field(alias="jobId")
    node_id: str | None = Field(None, alias="nodeId")
    progress: float = Field(ge=0, le=1)
    message: str | None = None
    timestamp: str = Field(default_factory=_now)


class StatusUpdate(_Message):
    """Published on `channel:status:{jobId}`; without `nodeId` it is the status of the graph."""

    job_id: str = Field(alias="jobId")
    node_id: str | None = Field(None, alias="nodeId")
    status: NodeStatus
    error: str | None = None
    timestamp: str = Field(default_factory=_now)


class DataUpdate(_Message):
    """Published on `channel:data:{jobId}`: an intermediate result or the output of a node."""

    job_id: str = Field(alias="jobId")
    node_id: str = Field(alias="nodeId")
    data: Any
    timestamp: str = Field(default_factory=_now)


class TaskCapability(_Message):
    """A task of this plane."""

    name: str
    summary: str
    params_schema: dict[str, Any] = Field(alias="paramsSchema")
    result_schema: dict[str, Any] = Field(alias="resultSchema")


class PlaneCapabilityManifest(_Message):
    """What this plane can run."""

    plane: str = "python"
    version: str
    tasks: list[TaskCapability]


MESSAGES: tuple[type[BaseModel], ...] = (
    LanggraphWorkflow,
    ProgressUpdate,
    StatusUpdate,
    DataUpdate,
    PlaneCapabilityManifest,
)
"""All messages with a JSON Schema."""
