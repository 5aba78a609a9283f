"""Graphs in ComfyUI's API format: validation, inputs, merging."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from callsheet.domain.errors import Problem
from callsheet.files.object_keys import safe_name

Graph = dict[str, dict[str, Any]]
"""Node id → `class_type` and `inputs`. An input is a value, or a link `[node id, slot]` to another node's output."""

_EDITOR_FORMAT = (
    "this is the editor's format, which describes the layout and cannot be run; export the workflow with "
    "'Export (API)', or 'Save (API Format)', in the editor's menu"
)
_WEBSOCKET_ONLY = "its images are sent over a websocket only and lost when it breaks; use SaveImage"


def unwrap_prompt(value: Any) -> Any:
    """Return the graph under the key `prompt` when a whole request is given; else the value itself."""
    if isinstance(value, dict) and isinstance(value.get("prompt"), dict) and "class_type" not in value["prompt"]:
        return value["prompt"]
    return value


def is_editor_format(value: Any) -> bool:
    """Whether this is a workflow in the format of ComfyUI's editor."""
    return isinstance(value, dict) and isinstance(value.get("nodes"), list) and "links" in value


def validate_graph(value: Any, path: str = "graph") -> list[Problem]:
    """Return every problem of a graph that can be found without the server."""
    if is_editor_format(value):
        return [Problem(path, "editor_format", _EDITOR_FORMAT)]
    if not isinstance(value, dict) or not value:
        return [Problem(path, "not_a_graph", "a graph is an object: node id → class_type and inputs")]
    problems = [problem for node, fields in value.items() for problem in _validate_node(value, node, fields, path)]
    if not problems and (cycle := _nodes_in_cycles(value)):
        problems = [Problem(path, "cycle", f"these nodes wait for each other: {', '.join(sorted(cycle))}")]
    return problems


def _validate_node(graph: Mapping[str, Any], node: str, fields: Any, path: str) -> Iterator[Problem]:
    path = f"{path}.{node}"
    if not isinstance(fields, dict) or not isinstance(fields.get("class_type"), str):
        yield Problem(path, "no_class_type", "a node needs a class_type, such as KSampler")
        return
    class_type = fields["class_type"]
    if class_type == "SaveImageWebsocket":
        yield Problem(path, "only_by_websocket", f"SaveImageWebsocket: {_WEBSOCKET_ONLY}")
    if not isinstance(fields.get("inputs"), dict):
        yield Problem(path, "no_inputs", f"{class_type} needs an object 'inputs', which may be empty")
        return
    for name, source in _links(fields):
        if source not in graph:
            message = f"{class_type} takes '{name}' from node {source}, which does not exist"
            yield Problem(f"{path}.{name}", "no_such_node", message)


def _links(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields["inputs"].items():
        if is_link(value):
            yield name, value[0]


def is_link(value: Any) -> bool:
    """Whether an input is a link to another node's output."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _nodes_in_cycles(graph: Graph) -> set[str]:
    """Return the nodes that remain after repeatedly removing nodes without unresolved links."""
    remaining = {node: {source for _, source in _links(fields)} for node, fields in graph.items()}
    while resolved := [node for node, sources in remaining.items() if not sources & remaining.keys()]:
        for node in resolved:
            del remaining[node]
    return set(remaining)


def needed_nodes(graph: Graph) -> list[str]:
    """Return the final nodes (no other node links to them) and all nodes that they depend on."""
    linked = {source for fields in graph.values() for _, source in _links(fields)}
    stack = [node for node in graph if node not in linked]
    found = dict.fromkeys(stack)
    while stack:
        for _, source in _links(graph[stack.pop()]):
            if source in graph and source not in found:
                found[source] = None
                stack.append(source)
    return list(found)


def copy_graph(graph: Graph) -> Graph:
    """Return a deep copy."""
    copied: Graph = json.loads(json.dumps(graph))
    return copied


def merge_graphs(base: Graph, changes: Mapping[str, Any]) -> Graph:
    """Return `base` with the nodes of `changes` merged into it, field by field; `changes` takes precedence."""
    result = copy_graph(base)
    for node, fields in changes.items():
        if not isinstance(fields, dict):
            result[node] = fields
            continue
        kept = result.get(node, {})
        inputs = {**(kept.get("inputs") or {}), **(fields.get("inputs") or {})}
        result[node] = {**kept, **fields, "inputs": inputs}
    return result


def find_field(graph: Graph, path: str) -> tuple[str, str] | None:
    """Split `node.input` into node id and input name; None when there is no such node. Node ids may contain dots."""
    found = [node for node in graph if path.startswith(f"{node}.") and len(path) > len(node) + 1]
    if not found:
        return None
    node = max(found, key=len)
    return node, path[len(node) + 1 :]


def set_input(graph: Graph, path: str, value: Any) -> None:
    """Set an input, named as `node.input`. Raises KeyError when there is no such node."""
    field = find_field(graph, path)
    if field is None:
        raise KeyError(path)
    graph[field[0]]["inputs"][field[1]] = value


def missing_fields(graph: Graph, paths: Iterable[str]) -> list[str]:
    """Return the `node.input` paths whose node does not exist."""
    return [path for path in paths if find_field(graph, path) is None]


def set_output_folder(graph: Graph, folder: str) -> None:
    """Make every node that saves files save them in `folder`.

    ComfyUI answers a prompt whose nodes are all cached with the file names of the earlier prompt, and these files
    may be deleted or belong to another job. A unique folder makes the save nodes run again, and only them.
    """
    for fields in graph.values():
        prefix = fields["inputs"].get("filename_prefix")
        if isinstance(prefix, str):
            fields["inputs"]["filename_prefix"] = f"{folder}/{_base_name(prefix)}"


def _base_name(prefix: str) -> str:
    # ComfyUI saves a file with two consecutive dots in its name, but refuses to serve it.
    return re.sub(r"\.{2,}", ".", safe_name(re.split(r"[/\\]", prefix)[-1]))
