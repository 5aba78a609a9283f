"""The levels of a workflow of ComfyUI's editor: the workflow itself, and each use of a subgraph in it.

A subgraph is a group of nodes that the workflow defines once and uses as a node. The nodes of a use have ids with the
path to it: node 8 of the subgraph that node 135 uses is `135:8`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

BYPASSED = 4
MUTED = 2
_MAX_DEPTH = 50
_MAX_USES = 1_000
_OWN = "-1"
"""Source of a promoted widget that is a widget of the subgraph's own input."""

Fields = Mapping[str, Any]


class NotConvertible(ValueError):
    """The workflow cannot be converted."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The nodes and links of the workflow, or of one use of a subgraph."""

    path: str
    """Ids of the nodes that use the subgraphs, each with a colon; empty for the workflow itself."""
    nodes: Mapping[str, Fields]
    sources: Mapping[Any, tuple[str, int]]
    """Link id → source node and its output."""
    outputs: Mapping[int, Any]
    """Output of the subgraph → link that leads to it."""
    input_node: str | None = None
    """Id of the node that stands for the inputs of the subgraph."""
    inputs: tuple[str, ...] = ()
    """Names of the inputs of the subgraph."""
    stale_links: frozenset[int] = frozenset()
    """Links from inputs of the subgraph that the inputs do not list."""
    parent: "Level | None" = None
    use: Fields = field(default_factory=dict)
    """The node of the parent that uses the subgraph."""
    widgets: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """Values that the use sets: by the node and the widget inside, or by "-1" and the input of the subgraph."""
    children: dict[str, "Level"] = field(default_factory=dict)
    """Uses of subgraphs in it, by the ids of their nodes."""

    def id_of(self, node: str) -> str:
        """Return the id of a node in the graph in API format."""
        return f"{self.path}{node}"

    def own_input(self, link: Any, slot: int) -> tuple[Any, Any]:
        """Return the link in the parent that leads to an input of the subgraph, and the value that the use sets.

        `link` is the one that leads from the input. Files contain links that their inputs do not list any more.
        """
        if not 0 <= slot < len(self.inputs) or link in self.stale_links:
            return None, None
        name = self.inputs[slot]
        # The node that uses the subgraph may have them in another order.
        link = next((each.get("link") for each in slots(self.use, "inputs") if each.get("name") == name), None)
        return link, self.widgets.get((_OWN, name))

    def walk(self) -> Iterator["Level"]:
        """Yield it and all levels below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()


def read_levels(data: Fields) -> Level:
    """Return the outermost level, with its children. Raises NotConvertible for subgraphs that contain themselves."""
    subgraphs = {str(each.get("id")): each for each in _subgraphs(data)}
    level = Level("", _nodes(data), dict(_links(data)), {})
    _add_children(level, subgraphs, (), count(1))
    return level


def runs(node: Fields) -> bool:
    """Whether a node is neither muted nor bypassed."""
    return node.get("mode") not in (MUTED, BYPASSED)


def slots(node: Fields, name: str) -> list[Fields]:
    """Return the `inputs` or `outputs` of a node; what is no object becomes an empty one, so that numbers stay."""
    found = node.get(name)
    return [each if isinstance(each, Mapping) else {} for each in (found if isinstance(found, list) else ())]


def _add_children(
    level: Level, subgraphs: Mapping[str, Fields], open_subgraphs: tuple[str, ...], uses: "count[int]"
) -> None:
    for number, node in level.nodes.items():
        name = str(node.get("type"))
        if name not in subgraphs or not runs(node):
            continue
        if name in open_subgraphs:
            raise NotConvertible(f"the subgraph of node {level.id_of(number)} contains itself")
        if len(open_subgraphs) >= _MAX_DEPTH or next(uses) > _MAX_USES:
            raise NotConvertible(f"it has more than {_MAX_USES:,} uses of subgraphs, or more than {_MAX_DEPTH} levels")
        child = _child(level, number, node, subgraphs[name])
        level.children[number] = child
        _add_children(child, subgraphs, (*open_subgraphs, name), uses)


def _child(level: Level, number: str, node: Fields, subgraph: Fields) -> Level:
    links = list(_whole_links(subgraph))
    output_node = _io_node(subgraph, "outputNode")
    return Level(
        path=f"{level.id_of(number)}:",
        nodes=_nodes(subgraph),
        sources={link[0]: (str(link[1]), link[2]) for link in links},
        outputs={link[4]: link[0] for link in links if str(link[3]) == output_node and isinstance(link[4], int)},
        input_node=_io_node(subgraph, "inputNode"),
        stale_links=_stale_links(subgraph, links),
        inputs=tuple(str(each.get("name")) for each in slots(subgraph, "inputs")),
        parent=level,
        use=node,
        widgets={**_widgets(node), **_widgets_from(level, number)},
    )


def _stale_links(subgraph: Fields, links: list[list[Any]]) -> frozenset[int]:
    inputs = slots(subgraph, "inputs")
    listed = [each["linkIds"] for each in inputs if isinstance(each.get("linkIds"), list)]
    if len(listed) < len(inputs):
        return frozenset()
    known = {link for ids in listed for link in ids if isinstance(link, int)}
    own = _io_node(subgraph, "inputNode")
    return frozenset(link[0] for link in links if str(link[1]) == own and link[0] not in known)


def _widgets(node: Fields) -> dict[tuple[str, str], Any]:
    """Return the values that the node of a use stores for the widgets that it shows."""
    properties, values = node.get("properties"), node.get("widgets_values")
    shown = properties.get("proxyWidgets") if isinstance(properties, Mapping) else None
    if isinstance(values, Mapping):
        return {(_OWN, str(name)): value for name, value in values.items()}
    if not isinstance(values, list):
        return {}
    names = [(str(each[0]), str(each[1])) for each in shown or () if isinstance(each, list) and len(each) >= 2]
    if not names:
        names = [(_OWN, str(slot.get("name"))) for slot in slots(node, "inputs") if "widget" in slot]
    return {name: value for name, value in zip(names, values, strict=False) if value is not None}


def _widgets_from(level: Level, number: str) -> dict[tuple[str, str], Any]:
    """Return what the level above sets for the widgets that a use inside it shows."""
    return {(_OWN, name): value for (node, name), value in level.widgets.items() if node == number}


def _nodes(data: Fields) -> dict[str, Fields]:
    nodes = data.get("nodes")
    return {
        str(node.get("id")): node for node in (nodes if isinstance(nodes, list) else ()) if isinstance(node, Mapping)
    }


def _links(data: Fields) -> Iterator[tuple[Any, tuple[str, int]]]:
    for link in _whole_links(data):
        yield link[0], (str(link[1]), link[2])


def _whole_links(data: Fields) -> Iterator[list[Any]]:
    """Yield the links as `[id, source, output, target, input]`. In a file, they are lists or objects."""
    links = data.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, Mapping):
            names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
            link = [link.get(name) for name in names]
        if isinstance(link, list) and len(link) >= 5 and isinstance(link[0], int) and isinstance(link[2], int):
            yield link


def _subgraphs(data: Fields) -> Iterator[Fields]:
    definitions = data.get("definitions")
    found = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    for each in found if isinstance(found, list) else ():
        if isinstance(each, Mapping):
            yield each


def _io_node(subgraph: Fields, name: str) -> str:
    node = subgraph.get(name)
    default = {"inputNode": -10, "outputNode": -20}[name]
    return str(node.get("id", default) if isinstance(node, Mapping) else default)
