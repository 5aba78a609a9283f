"""Graphs in ComfyUI's API format: read, checked, changed."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from callsheet.domain.errors import Problem
from callsheet.files.object_keys import safe_name

Graph = dict[str, dict[str, Any]]
"""Node id → `class_type` and `inputs`; an input is a value, or `[node id, slot]` of the node that it comes from."""

_EDITOR = (
    "this is the editor's own format, which holds where boxes stand and not what they do; export it with "
    "'Export (API)', or 'Save (API Format)' in the editor's menu"
)
_ONLY_BY_SOCKET = "its images go over a websocket alone and are lost when it breaks; use SaveImage"


def unwrapped(value: Any) -> Any:
    """Return the graph that stands under `prompt`, where a whole request was given."""
    if isinstance(value, dict) and isinstance(value.get("prompt"), dict) and "class_type" not in value["prompt"]:
        return value["prompt"]
    return value


def is_editor_format(value: Any) -> bool:
    """Tell whether this is a workflow as the editor saves it."""
    return isinstance(value, dict) and isinstance(value.get("nodes"), list) and "links" in value


def problems_of(value: Any, where: str = "graph") -> list[Problem]:
    """Return everything that is wrong with a graph, as far as it can be told without the server."""
    if is_editor_format(value):
        return [Problem(where, "editor_format", _EDITOR)]
    if not isinstance(value, dict) or not value:
        return [Problem(where, "not_a_graph", "a graph is an object: node id → class_type and inputs")]
    problems = [problem for node, about in value.items() for problem in _of_node(value, node, about, where)]
    if not problems and (circle := _circle(value)):
        problems = [Problem(where, "cycle", f"these nodes wait for each other: {', '.join(sorted(circle))}")]
    return problems


def _of_node(graph: Mapping[str, Any], node: str, about: Any, where: str) -> Iterator[Problem]:
    place = f"{where}.{node}"
    if not isinstance(about, dict) or not isinstance(about.get("class_type"), str):
        yield Problem(place, "no_class_type", "a node has a class_type, such as KSampler")
        return
    if about["class_type"] == "SaveImageWebsocket":
        yield Problem(place, "only_by_websocket", f"SaveImageWebsocket: {_ONLY_BY_SOCKET}")
    if not isinstance(about.get("inputs"), dict):
        yield Problem(
            place, "no_inputs", f"{about['class_type']} has no inputs; an object belongs there, if an empty one"
        )
        return
    for name, source in _links(about):
        if source not in graph:
            message = f"{about['class_type']} takes '{name}' from node {source}, and there is none"
            yield Problem(f"{place}.{name}", "no_such_node", message)


def _links(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in about["inputs"].items():
        if is_link(value):
            yield name, value[0]


def is_link(value: Any) -> bool:
    """Tell whether an input comes from another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _circle(graph: Graph) -> set[str]:
    """Return the nodes that are left when those are taken away that wait for none, again and again."""
    left = {node: {source for _, source in _links(about)} for node, about in graph.items()}
    while free := [node for node, sources in left.items() if not sources & left.keys()]:
        for node in free:
            del left[node]
    return set(left)


def needed_nodes(graph: Graph) -> list[str]:
    """Return the nodes that something is made from: those that no other takes from, and all before them."""
    taken = {source for about in graph.values() for _, source in _links(about)}
    ahead = [node for node in graph if node not in taken]
    found = dict.fromkeys(ahead)
    while ahead:
        for _, source in _links(graph[ahead.pop()]):
            if source in graph and source not in found:
                found[source] = None
                ahead.append(source)
    return list(found)


def copied(graph: Graph) -> Graph:
    """Return a graph that can be changed without changing this one."""
    changed: Graph = json.loads(json.dumps(graph))
    return changed


def merged(base: Graph, over: Mapping[str, Any]) -> Graph:
    """Lay nodes over a graph, field by field; what lies over it wins."""
    result = copied(base)
    for node, about in over.items():
        if not isinstance(about, dict):
            result[node] = about
            continue
        kept = result.get(node, {})
        inputs = {**(kept.get("inputs") or {}), **(about.get("inputs") or {})}
        result[node] = {**kept, **about, "inputs": inputs}
    return result


def find_field(graph: Graph, path: str) -> tuple[str, str] | None:
    """Return node id and input of a `node.input`; None when there is no such node. Ids may hold dots."""
    found = [node for node in graph if path.startswith(f"{node}.") and len(path) > len(node) + 1]
    if not found:
        return None
    node = max(found, key=len)
    return node, path[len(node) + 1 :]


def set_input(graph: Graph, path: str, value: Any) -> None:
    """Set a field, named as `node.input`, which must be there."""
    place = find_field(graph, path)
    if place is None:
        raise KeyError(path)
    graph[place[0]]["inputs"][place[1]] = value


def missing_fields(graph: Graph, paths: Iterable[str]) -> list[str]:
    """Return those of these `node.input` names whose node is not there."""
    return [path for path in paths if find_field(graph, path) is None]


def name_files_apart(graph: Graph, folder: str) -> None:
    """Have every node that saves files save them under a folder of its own.

    A prompt whose nodes are all in the server's cache answers with the files of the prompt before, which may be
    gone, or another job's. With a name of its own the saving is done anew, and nothing else.
    """
    for about in graph.values():
        prefix = about["inputs"].get("filename_prefix")
        if isinstance(prefix, str):
            about["inputs"]["filename_prefix"] = f"{folder}/{_last_part(prefix)}"


def _last_part(prefix: str) -> str:
    # A name with two dots in a row is saved, and cannot be fetched.
    return re.sub(r"\.{2,}", ".", safe_name(re.split(r"[/\\]", prefix)[-1]))
