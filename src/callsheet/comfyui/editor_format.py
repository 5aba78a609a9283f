"""Conversion of a workflow in the format of ComfyUI's editor to a graph in API format.

The editor stores the values of a node without names, in the order of the node's inputs, so the schemas of the nodes
are needed. Subgraphs are replaced by their nodes; reroutes, primitives, and pairs of Set and Get by their links.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from callsheet.comfyui.editor_levels import BYPASSED, MUTED, Fields, Level, NotConvertible, read_levels, runs, slots
from callsheet.comfyui.graph import Graph
from callsheet.comfyui.node_schemas import NodeSchema

NOT_IN_GRAPH = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode", "SetNode", "GetNode"})
"""Nodes that exist in the editor only, and that a graph can be made without."""
_PASSED_ON = frozenset({"Reroute", "SetNode"})
"""Nodes whose output is their first input."""
_GROUP_NODE = ("workflow>", "workflow/")
"""Start of the type of a group node, the predecessor of subgraphs."""
_CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize"})
_BUTTONS = frozenset({"image", "audio", "video", "file", ""})
"""Values of the button with which a file is chosen."""
_MAX_STEPS = 10_000
_REMOVED = object()
"""What a link from a muted node brings: the input is left out."""
_KEPT = object()
"""What a link from nothing brings: the input keeps the value of its widget."""

__all__ = ["NOT_IN_GRAPH", "NotConvertible", "editor_classes", "to_api_format"]


def editor_classes(data: Fields) -> set[str]:
    """Return the node classes that the graph will have. Raises NotConvertible."""
    return {str(node.get("type")) for level in read_levels(data).walk() for _, node in _active(level)}


def to_api_format(data: Fields, schemas: Mapping[str, NodeSchema]) -> Graph:
    """Return the graph of a workflow. Raises NotConvertible with the reason and the node."""
    graph: Graph = {}
    for level in read_levels(data).walk():
        for number, node in _active(level):
            class_type = str(node.get("type"))
            if class_type not in schemas:
                if _is_alone(node):
                    continue  # a note or a button of the editor
                raise NotConvertible(_missing_class(level, number, class_type))
            graph[level.id_of(number)] = {
                "class_type": class_type,
                "inputs": _inputs(level, number, node, schemas[class_type]),
                **({"_meta": {"title": node["title"]}} if isinstance(node.get("title"), str) else {}),
            }
    if not graph:
        raise NotConvertible("it has no node that runs")
    return graph


def _active(level: Level) -> Iterator[tuple[str, Fields]]:
    """Yield the nodes that run, without those that stand for other nodes."""
    for number, node in level.nodes.items():
        if runs(node) and node.get("type") not in NOT_IN_GRAPH and number not in level.children:
            yield number, node


def _is_alone(node: Fields) -> bool:
    """Whether nothing is linked with a node."""
    has_source = any(slot.get("link") is not None for slot in slots(node, "inputs"))
    return not has_source and not any(slot.get("links") for slot in slots(node, "outputs"))


def _missing_class(level: Level, number: str, class_type: str) -> str:
    where = f"(node {level.id_of(number)})"
    if class_type.startswith(_GROUP_NODE):
        return f"'{class_type}' {where} is a group node; convert it to nodes, or to a subgraph, in the editor"
    return f"the server has no node '{class_type}' {where}"


def _inputs(level: Level, number: str, node: Fields, schema: NodeSchema) -> dict[str, Any]:
    inputs = _widget_values(level, number, node, schema)
    inputs |= {name: value for (inside, name), value in level.widgets.items() if inside == number and name in inputs}
    for slot in slots(node, "inputs"):
        if slot.get("link") is None:
            continue
        name, value = str(slot.get("name")), _follow(level, slot["link"])
        if value is _REMOVED:
            inputs.pop(name, None)
        elif value is not _KEPT:
            inputs[name] = value
    return {name: _as_value(value) for name, value in inputs.items()}


def _as_value(value: Any) -> Any:
    """Return a value so that the server does not take a list for a link."""
    is_link = isinstance(value, _Link)
    return [*value] if is_link else {"__value__": value} if isinstance(value, list) else value


class _Link(tuple[str, int]):
    """A link to the output of a node."""


def _follow(level: Level, link: Any) -> Any:
    """Return what a link brings: a link to a node that runs, a value, `_REMOVED` or `_KEPT`."""
    for _ in range(_MAX_STEPS):
        if link not in level.sources:
            return _KEPT
        source, slot = level.sources[link]
        if source == level.input_node and level.parent is not None:
            link, value = level.own_input(link, slot)
            if link is None:
                return _KEPT if value is None else value
            level = level.parent
            continue
        node = level.nodes.get(source, {})
        if source in level.children:
            level, link = level.children[source], level.children[source].outputs.get(slot)
            continue
        found = _value_of(level, source, slot, node)
        if found is not None:
            return found
        level, link = _before(level, source, slot, node)
    raise NotConvertible("nodes that pass on their input form a cycle")


def _value_of(level: Level, source: str, slot: int, node: Fields) -> Any:
    """Return what a node gives; None if it passes on what it gets."""
    if node.get("type") == "PrimitiveNode":
        values = node.get("widgets_values")
        return values[0] if isinstance(values, list) and values else _KEPT
    if node.get("mode") == MUTED:
        return _REMOVED
    if node.get("mode") == BYPASSED or node.get("type") in {*_PASSED_ON, "GetNode"}:
        return None
    return _Link((level.id_of(source), slot))


def _before(level: Level, source: str, slot: int, node: Fields) -> tuple[Level, Any]:
    """Return the link, and its level, that a node passes on to its output."""
    inputs = slots(node, "inputs")
    if node.get("type") in _PASSED_ON:
        return level, next((each.get("link") for each in inputs), None)
    if node.get("type") == "GetNode":
        return _set_by(level, source, _name_of(node))
    outputs = slots(node, "outputs")
    kind = outputs[slot].get("type") if slot < len(outputs) else None
    ordered = [*inputs[slot : slot + 1], *inputs]
    return level, next((each.get("link") for each in ordered if each.get("type") == kind), None)


def _set_by(level: Level, source: str, name: Any) -> tuple[Level, Any]:
    """Return the input of the Set node with a name: in the same level, or in one around it."""
    searched: Level | None = level
    while searched is not None:
        for node in searched.nodes.values():
            if node.get("type") == "SetNode" and _name_of(node) == name:
                return searched, next((each.get("link") for each in slots(node, "inputs")), None)
        searched = searched.parent
    raise NotConvertible(f"the GetNode (node {level.id_of(source)}) gets '{name}', and no SetNode sets it")


def _name_of(node: Fields) -> Any:
    values = node.get("widgets_values")
    return values[0] if isinstance(values, list) and values else None


def _widget_values(level: Level, number: str, node: Fields, schema: NodeSchema) -> dict[str, Any]:
    values = node.get("widgets_values")
    names = _widget_names(node, schema)
    if isinstance(values, Mapping):
        return {name: values[name] for name in [*names, *schema.hidden] if name in values}
    rest = list(values) if isinstance(values, list) else []
    inputs: dict[str, Any] = {}
    for name in names:
        if not rest:
            break
        value = inputs[name] = rest.pop(0)
        del rest[: _count_of_parts(value, rest)]
        if _has_control(name, schema) and rest and rest[0] in _CONTROLS:
            rest.pop(0)
    if any(_is_value(value) for value in rest):
        raise NotConvertible(
            f"node {level.id_of(number)} ({node.get('type')}) stores {len(values or ())} values, and the server's node "
            f"takes {len(names)}"
        )
    return {**_defaults(names, schema), **inputs}


def _defaults(names: list[str], schema: NodeSchema) -> dict[str, Any]:
    """Return the values of required widgets that a file of an older version lacks."""
    required = {name: schema.inputs[name] for name in names if name in schema.inputs and schema.inputs[name].required}
    return {name: spec.default for name, spec in required.items() if spec.default is not None}


def _widget_names(node: Fields, schema: NodeSchema) -> list[str]:
    """Return the widgets of a node in the order of their values.

    New files list the widgets among the inputs, also those that depend on the value of another one, but files that were
    read from an image list only those with a link.
    """
    if node.get("type") == "CustomCombo":
        # The editor adds a number and the options, which the node does not describe.
        values = node.get("widgets_values")
        count = len(values) - 2 if isinstance(values, list) else 0
        return ["choice", "index", *(f"option{number}" for number in range(1, count + 1))]
    listed = [str(slot.get("name")) for slot in slots(node, "inputs") if "widget" in slot]
    known = [name for name, spec in schema.inputs.items() if spec.is_widget]
    return listed if {*known} <= {*listed} else [n for n in schema.inputs if n in known or n in listed]


def _count_of_parts(value: Any, rest: list[Any]) -> int:
    """Return how many values after a box repeat its numbers: the editor stores both."""
    numbers = [*value.values()] if isinstance(value, Mapping) else []
    return len(numbers) if numbers and rest[: len(numbers)] == numbers else 0


def _has_control(name: str, schema: NodeSchema) -> bool:
    return name in schema.inputs and schema.inputs[name].has_control


def _is_value(value: Any) -> bool:
    return value is not None and not isinstance(value, list | dict) and value not in _BUTTONS | _CONTROLS
