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
_FOLDER_INPUT = re.compile(r"(?:^|_)(?:sub)?(?:folder|dir|directory|path)(?:_|$)")
"""Names of inputs by which a node gets the folder that it saves in, such as `folder_name`."""
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
        elif fields["inputs"][name][1] < 0:
            message = f"{class_type} takes '{name}' from output {fields['inputs'][name][1]} of node {source}"
            yield Problem(f"{path}.{name}", "no_such_output", f"{message}; outputs are counted from 0")


def _links(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields["inputs"].items():
        if is_link(value):
            yield name, value[0]


def is_link(value: Any) -> bool:
    """Whether an input is a link to another node's output."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _nodes_in_cycles(graph: Graph) -> set[str]:
    """Return the nodes that remain after repeatedly removing nodes that need no other, or that no other needs."""
    remaining = {node: {source for _, source in _links(fields)} for node, fields in graph.items()}
    while True:
        needed = set().union(*remaining.values())
        outside = [node for node, sources in remaining.items() if not sources & remaining.keys() or node not in needed]
        if not outside:
            return set(remaining)
        for node in outside:
            del remaining[node]


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
    """Return `base` with the nodes of `changes` merged into it, field by field; `changes` takes precedence.

    A node that gets another class keeps nothing of the node in `base`.
    """
    result = copy_graph(base)
    for node, fields in changes.items():
        if not isinstance(fields, dict):
            result[node] = fields
            continue
        kept = result.get(node, {})
        if fields.get("class_type", kept.get("class_type")) != kept.get("class_type"):
            kept = {}
        given = fields.get("inputs") or {}
        inputs = {**(kept.get("inputs") or {}), **given} if isinstance(given, dict) else given
        result[node] = {**kept, **fields, "inputs": inputs}
    return result


def replaces_graph(graph: Any, base: Graph) -> bool:
    """Whether a graph can run without `base`; otherwise it holds changes of `base`.

    It can if its nodes have classes and link to each other only, if a node without a successor gets something from
    another one, and if no node is a shorter form of the same node in `base`.
    """
    if not isinstance(graph, dict) or not graph or validate_graph(graph):
        return False
    linked = {source for fields in graph.values() for _, source in _links(fields)}
    if not any(next(_links(fields), None) for node, fields in graph.items() if node not in linked):
        return False
    return not any(_is_shorter(fields, base[node]) for node, fields in graph.items() if node in base)


def _is_shorter(fields: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    return fields["class_type"] == known["class_type"] and not known["inputs"].keys() <= fields["inputs"].keys()


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


def set_unique_names(graph: Graph, prompt_id: str) -> None:
    """Make every node that saves files save them under names that only this prompt uses.

    ComfyUI answers a prompt whose nodes are all cached with the file names of the earlier prompt, and these files
    may be deleted or belong to another job. Unique names make the save nodes run again, and only them.

    The files are saved in a folder of the prompt. A node with a folder of its own does not create others, so there the
    names begin with the id; `plain_name` removes it.
    """
    for fields in graph.values():
        inputs = fields["inputs"]
        prefix = inputs.get("filename_prefix")
        if isinstance(prefix, str):
            own_folder = any(_FOLDER_INPUT.search(name) for name in inputs)
            start = f"callsheet-{prompt_id}-" if own_folder else f"callsheet/{prompt_id}/"
            inputs["filename_prefix"] = start + _base_name(prefix)


def plain_name(filename: str, prompt_id: str) -> str:
    """Return the name of a file without the start that `set_unique_names` gave it."""
    return filename.removeprefix(f"callsheet-{prompt_id}-")


def _base_name(prefix: str) -> str:
    # ComfyUI saves a file with two consecutive dots in its name, but refuses to serve it.
    return re.sub(r"\.{2,}", ".", safe_name(re.split(r"[/\\]", prefix)[-1]))
