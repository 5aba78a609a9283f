"""The output files and texts of a prompt, read from its history entry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.domain.json_storage import shown_text

_MAX_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file on the server."""

    node: str
    """Node id in the submitted graph."""
    filename: str
    subfolder: str = ""
    type: str = "output"
    """`output`, or `temp` for files of preview nodes."""


@dataclass(frozen=True, slots=True)
class PromptOutputs:
    """Output files in the order of their nodes, and texts by node id."""

    files: tuple[OutputFile, ...]
    texts: Mapping[str, str]


def prompt_outputs(entry: Mapping[str, Any]) -> PromptOutputs:
    """Return all outputs of a history entry. Files are found under any key: nodes use different ones."""
    files: list[OutputFile] = []
    texts: dict[str, str] = {}
    for node, values in sorted(_outputs(entry).items(), key=lambda item: _sort_key(item[0])):
        submitted = _submitted_node(entry, node)
        files += [file for file in _files(submitted, values) if file not in files]
        if (text := _text(values.get("text"))) is not None:
            texts[submitted] = text
    return PromptOutputs(tuple(files), texts)


def _outputs(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    outputs = entry.get("outputs")
    found = outputs if isinstance(outputs, dict) else {}
    return {str(node): values for node, values in found.items() if isinstance(values, dict)}


def _submitted_node(entry: Mapping[str, Any], node: str) -> str:
    """Return the node of the submitted graph for a node that may be inside an expanded subgraph."""
    meta = entry.get("meta")
    details = meta.get(node) if isinstance(meta, dict) else None
    # In a cached run, meta may contain node ids of the earlier prompt; so an id of the submitted graph is kept.
    if node in _submitted_graph(entry) or not isinstance(details, dict):
        return node
    return str(details.get("display_node") or node)


def _submitted_graph(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    prompt = entry.get("prompt")
    graph = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    return graph if isinstance(graph, dict) else {}


def _files(node: str, values: Mapping[str, Any]) -> Iterator[OutputFile]:
    for items in values.values():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and isinstance(item.get("filename"), str) and item["filename"]:
                location = str(item.get("subfolder") or ""), str(item.get("type") or "output")
                yield OutputFile(node, item["filename"], *location)


def _text(value: Any) -> str | None:
    if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
        return None
    # ComfyUI converts a string in place of a list to a list of its letters.
    separator = "" if all(len(part) <= 1 for part in value) else "\n"
    return shown_text(separator.join(value)[:_MAX_TEXT])


def _sort_key(node: str) -> tuple[int, str]:
    head = node.partition(".")[0].partition(":")[0]
    return (int(head) if head.isdecimal() else 2**31, node)
