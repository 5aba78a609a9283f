"""How far a prompt is, in shares of its whole graph, from the messages of a websocket."""

from collections.abc import Mapping
from typing import Any

from callsheet.comfyui.graph import Graph, needed_nodes


class PromptProgress:
    """Counts nodes. The share never falls; all nodes count the same, since nobody knows how long each takes."""

    def __init__(self, graph: Graph, prompt_id: str) -> None:
        self.prompt_id = prompt_id
        self._graph = graph
        self._shares = dict.fromkeys(needed_nodes(graph), 0.0)
        self._running: str | None = None
        self.share = 0.0
        self.label: str | None = None
        """The node that works, by its kind."""

    def read(self, kind: str, data: Mapping[str, Any]) -> bool:
        """Take a message in; returns whether there is something new to tell."""
        reader = _READERS.get(kind)
        if reader is None or data.get("prompt_id") != self.prompt_id:
            return False
        before = self.share, self.label
        reader(self, data)
        known = sum(self._shares.values()) / len(self._shares) if self._shares else 0.0
        self.share = max(self.share, min(known, 1.0))
        return (self.share, self.label) != before

    def _cached(self, data: Mapping[str, Any]) -> None:
        for node in data.get("nodes") or ():
            self._set(str(node), 1.0)

    def _executing(self, data: Mapping[str, Any]) -> None:
        if self._running is not None:
            self._set(self._running, 1.0)
        node = data.get("display_node") or data.get("node")
        self._running = None if node is None else str(node)
        if self._running is not None:
            kind = self._graph.get(self._running, {}).get("class_type", "node")
            self.label = f"{kind} (node {self._running})"

    def _executed(self, data: Mapping[str, Any]) -> None:
        self._set(str(data.get("display_node") or data.get("node")), 1.0)

    def _steps(self, data: Mapping[str, Any]) -> None:
        node = data.get("node") or self._running
        if node is not None:
            self._set(str(node), _share(data))

    def _state(self, data: Mapping[str, Any]) -> None:
        nodes = data.get("nodes")
        for node, about in nodes.items() if isinstance(nodes, dict) else ():
            # Nodes of a sub-graph stand under ids of their own; only those that were sent are counted.
            if isinstance(about, dict):
                self._set(str(node), 1.0 if about.get("state") == "finished" else _share(about))

    def _set(self, node: str, share: float) -> None:
        if node in self._shares:
            self._shares[node] = max(self._shares[node], share)


def _share(data: Mapping[str, Any]) -> float:
    value, most = data.get("value"), data.get("max")
    if not isinstance(value, int | float) or not isinstance(most, int | float) or most <= 0:
        return 0.0
    return min(max(value / most, 0.0), 1.0)


_READERS = {
    "execution_cached": PromptProgress._cached,
    "executing": PromptProgress._executing,
    "executed": PromptProgress._executed,
    "progress": PromptProgress._steps,
    "progress_state": PromptProgress._state,
}
