"""The graph of a plan as a drawing: jobs in layers, each after all jobs that it depends on."""

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from callsheet.engine.reads.execution_page import GraphNode, PlanGraph

NODE_WIDTH = 190
NODE_HEIGHT = 46
_COLUMN = NODE_WIDTH + 60
_ROW = NODE_HEIGHT + 14


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A job and its place, in pixels."""

    job: GraphNode
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class GraphDrawing:
    """A drawn graph. `path` is the SVG path of all its edges."""

    nodes: list[PlacedNode]
    path: str
    width: int
    height: int


def draw_graph(graph: PlanGraph) -> GraphDrawing:
    """Place the jobs of a plan. It takes time in proportion to jobs and edges."""
    upstream, downstream = defaultdict(list), defaultdict(list)
    for source, target in graph.edges:
        upstream[target].append(source)
        downstream[source].append(target)
    columns = _columns(graph, upstream, downstream)
    places = _places(columns, upstream)
    nodes = [PlacedNode(node, *places[node.id]) for node in graph.nodes]
    path = "".join(_edge(places[source], places[target]) for source, target in graph.edges if target in places)
    return GraphDrawing(
        nodes,
        path,
        width=max((node.x for node in nodes), default=0) + NODE_WIDTH + 2,
        height=max((node.y for node in nodes), default=0) + NODE_HEIGHT + 2,
    )


def _columns(
    graph: PlanGraph, upstream: dict[UUID, list[UUID]], downstream: dict[UUID, list[UUID]]
) -> list[list[UUID]]:
    """Return the jobs by column: one more than the largest column of the jobs that they depend on."""
    missing = {node.id: len(upstream[node.id]) for node in graph.nodes}
    order = {node.id: place for place, node in enumerate(graph.nodes)}
    columns: list[list[UUID]] = []
    current = [node.id for node in graph.nodes if not missing[node.id]]
    while current:
        columns.append(current)
        following = []
        for job in current:
            for target in downstream[job]:
                missing[target] -= 1
                if not missing[target]:
                    following.append(target)
        current = sorted(following, key=order.__getitem__)
    return columns


def _places(columns: list[list[UUID]], upstream: dict[UUID, list[UUID]]) -> dict[UUID, tuple[int, int]]:
    """Return the place of each job. A column is sorted by the mean height of what its jobs depend on."""
    places: dict[UUID, tuple[int, int]] = {}
    for column, jobs in enumerate(columns):
        heights = {job: sum(places[source][1] for source in upstream[job]) / max(1, len(upstream[job])) for job in jobs}
        for row, job in enumerate(sorted(jobs, key=heights.__getitem__)):
            places[job] = (column * _COLUMN + 1, row * _ROW + 1)
    return places


def _edge(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1, y1 = source[0] + NODE_WIDTH, source[1] + NODE_HEIGHT // 2
    x2, y2 = target[0], target[1] + NODE_HEIGHT // 2
    return f"M{x1} {y1}C{x1 + 30} {y1} {x2 - 30} {y2} {x2} {y2}"
