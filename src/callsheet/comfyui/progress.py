"""Progress of a prompt over its whole graph, computed from websocket messages."""

from collections.abc import Mapping
from typing import Any

from callsheet.comfyui.graph import Graph, needed_nodes


class PromptProgress:
    """The fraction of nodes that have run. It never decreases. All nodes count the same: durations are unknown."""

    def __init__(self, graph: Graph, prompt_id: str, *, fraction: float = 0.0) -> None:
        """`fraction` was done before the first message."""
        self.prompt_id = prompt_id
        self._graph = graph
        self._fractions = dict.fromkeys(needed_nodes(graph), 0.0)
        self._running: str | None = None
        self.fraction = fraction
        self.label: str | None = None
        """The running node, with its class type."""

    def update(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Process a message; return whether the progress changed."""
        reader = _READERS.get(kind)
        if reader is None or data.get("prompt_id") != self.prompt_id:
            return False
        before = self.fraction, self.label
        reader(self, data)
        mean = sum(self._fractions.values()) / len(self._fractions) if self._fractions else 0.0
        self.fraction = max(self.fraction, min(mean, 1.0))
        return (self.fraction, self.label) != before

    def _on_cached(self, data: Mapping[str, Any]) -> None:
        for node in data.get("nodes") or ():
            self._set(str(node), 1.0)

    def _on_executing(self, data: Mapping[str, Any]) -> None:
        if self._running is not None:
            self._set(self._running, 1.0)
        node = data.get("display_node") or data.get("node")
        self._running = None if node is None else str(node)
        if self._running is not None:
            kind = self._graph.get(self._running, {}).get("class_type", "node")
            self.label = f"{kind} (node {self._running})"

    def _on_executed(self, data: Mapping[str, Any]) -> None:
        self._set(str(data.get("display_node") or data.get("node")), 1.0)

    def _on_progress(self, data: Mapping[str, Any]) -> None:
        node = data.get("node") or self._running
        if node is not None:
            self._set(str(node), _fraction(data))

    def _on_progress_state(self, data: Mapping[str, Any]) -> None:
        nodes = data.get("nodes")
        for node, details in nodes.items() if isinstance(nodes, dict) else ():
            if isinstance(details, dict):
                self._set(str(node), 1.0 if details.get("state") == "finished" else _fraction(details))

    def _set(self, node: str, fraction: float) -> None:
        # Nodes of expanded subgraphs have ids that are not in the submitted graph; they are not counted.
        if node in self._fractions:
            self._fractions[node] = max(self._fractions[node], fraction)


def _fraction(data: Mapping[str, Any]) -> float:
    value, total = data.get("value"), data.get("max")
    if not isinstance(value, int | float) or not isinstance(total, int | float) or total <= 0:
        return 0.0
    return min(max(value / total, 0.0), 1.0)


_READERS = {
    "execution_cached": PromptProgress._on_cached,
    "executing": PromptProgress._on_executing,
    "executed": PromptProgress._on_executed,
    "progress": PromptProgress._on_progress,
    "progress_state": PromptProgress._on_progress_state,
}
