"""Which nodes of a graph run in one visit, the plan for them, and the graph after it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.plan import JOB_ID
from callsheet.domain.validation_problems import all_problems
from callsheet.intake.redis_streams.messages import LanggraphNode, LanggraphWorkflow

PLANE = "python"
CAPABILITIES = "get_capabilities"
"""A task that the intake answers itself."""
_JOB_ID = re.compile(JOB_ID)


def read_graph(data: Any) -> LanggraphWorkflow:
    """Parse a graph. Raises BadParams with all problems."""
    try:
        graph = LanggraphWorkflow.model_validate(data)
    except ValidationError as error:
        raise BadParams(all_problems(error, LanggraphWorkflow, data), "The graph is invalid") from None
    ids = [node.id for node in graph.nodes]
    problems = [
        Problem("nodes", "duplicate_id", f"the id '{id}' is used twice") for id in {i for i in ids if ids.count(i) > 1}
    ]
    for node in graph.nodes:
        for name in upstream_of(graph, node):
            if name not in ids:
                problems.append(
                    Problem(f"nodes.{node.id}", "unknown_node", f"depends on '{name}', which does not exist")
                )
    if problems:
        raise BadParams(problems, "The graph is invalid")
    return graph


def upstream_of(graph: LanggraphWorkflow, node: LanggraphNode) -> set[str]:
    """Return the ids of the nodes that a node waits for."""
    from_edges = {edge.source for edge in graph.edges if edge.target == node.id}
    from_inputs = {_producer(value, graph) for value in node.inputs.values() if isinstance(value, str)}
    return {*node.depends_on, *from_edges, *filter(None, from_inputs)}


def nodes_to_run(graph: LanggraphWorkflow) -> list[LanggraphNode]:
    """Return the nodes of this plane that are ready, and those that become ready when these have run."""
    completed = {node.id for node in graph.nodes if node.status == "completed"}
    candidates = [node for node in graph.nodes if node.plane == PLANE and node.status not in ("completed", "failed")]
    reachable: dict[str, LanggraphNode] = {}
    changed = True
    while changed:
        changed = False
        for node in candidates:
            if node.id not in reachable and upstream_of(graph, node) <= completed | reachable.keys():
                reachable[node.id] = node
                changed = True
    return list(reachable.values())


def job_ids(graph: LanggraphWorkflow) -> dict[str, str]:
    """Return the job id of each node. Ids that no job can have are replaced."""
    return {
        node.id: node.id if _JOB_ID.search(node.id) else f"node-{number}"
        for number, node in enumerate(graph.nodes, start=1)
    }


def plan_of(graph: LanggraphWorkflow, nodes: Iterable[LanggraphNode]) -> Mapping[str, Any]:
    """Return the plan that runs these nodes. Outputs of completed nodes are inserted, others are referred to."""
    ids, running = job_ids(graph), {node.id for node in nodes}
    jobs = []
    for node in nodes:
        inputs = {name: _value(value, graph, running, ids) for name, value in node.inputs.items()}
        jobs.append(
            {
                "id": ids[node.id],
                "operation": node.task,
                "params": {**node.params, **inputs},
                "dependsOn": sorted(ids[name] for name in upstream_of(graph, node) if name in running),
            }
        )
    return {"name": f"graph {graph.job_id}"[:200], "jobs": jobs}


def next_status(graph: LanggraphWorkflow) -> str:
    """Return `completed`, `failed`, or `running` if nodes of the other plane are left."""
    if any(node.status == "failed" for node in graph.nodes):
        return "failed"
    return "completed" if all(node.status == "completed" for node in graph.nodes) else "running"


def _producer(reference: str, graph: LanggraphWorkflow) -> str | None:
    """Return the node whose output a reference names: `node` or `node.field`. Ids may contain dots."""
    names = [node.id for node in graph.nodes if reference == node.id or reference.startswith(f"{node.id}.")]
    return max(names, key=len, default=None)


def _value(value: Any, graph: LanggraphWorkflow, running: set[str], ids: Mapping[str, str]) -> Any:
    producer = _producer(value, graph) if isinstance(value, str) else None
    if producer is None:
        return value
    path = value[len(producer) :]
    if producer in running:
        return "${" + ids[producer] + path + "}"
    found = next(node for node in graph.nodes if node.id == producer).output
    for part in filter(None, path.split(".")):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
