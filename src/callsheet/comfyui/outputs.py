"""What a prompt made, as its entry in the history tells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.domain.json_storage import storable_text

_LONGEST_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that lies on the server."""

    node: str
    """Id in the graph that was sent."""
    filename: str
    subfolder: str = ""
    type: str = "output"
    """`output`, or `temp` for what preview nodes made."""


@dataclass(frozen=True, slots=True)
class PromptOutputs:
    """Files in the order of their nodes, and texts by node."""

    files: tuple[OutputFile, ...]
    texts: Mapping[str, str]


def prompt_outputs(entry: Mapping[str, Any]) -> PromptOutputs:
    """Return everything that an entry of the history names, whatever the nodes call it."""
    files: list[OutputFile] = []
    texts: dict[str, str] = {}
    for node, values in sorted(_outputs(entry).items(), key=lambda item: _order(item[0])):
        shown = _shown_node(entry, node)
        files += [file for file in _files(shown, values) if file not in files]
        if (text := _text(values.get("text"))) is not None:
            texts[shown] = text
    return PromptOutputs(tuple(files), texts)


def _outputs(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    outputs = entry.get("outputs")
    found = outputs if isinstance(outputs, dict) else {}
    return {str(node): values for node, values in found.items() if isinstance(values, dict)}


def _shown_node(entry: Mapping[str, Any], node: str) -> str:
    meta = entry.get("meta")
    about = meta.get(node) if isinstance(meta, dict) else None
    # A cached run names the nodes of the prompt before; an id that was sent is believed.
    if node in _sent(entry) or not isinstance(about, dict):
        return node
    return str(about.get("display_node") or node)


def _sent(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    prompt = entry.get("prompt")
    graph = prompt[2] if isinstance(prompt, list) and len(prompt) > 2 else None
    return graph if isinstance(graph, dict) else {}


def _files(node: str, values: Mapping[str, Any]) -> Iterator[OutputFile]:
    for items in values.values():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and isinstance(item.get("filename"), str) and item["filename"]:
                place = str(item.get("subfolder") or ""), str(item.get("type") or "output")
                yield OutputFile(node, item["filename"], *place)


def _text(value: Any) -> str | None:
    if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
        return None
    # A node that gives one string where a list belongs has it sent as a list of letters.
    glue = "" if all(len(part) <= 1 for part in value) else "\n"
    return storable_text(glue.join(value)[:_LONGEST_TEXT])


def _order(node: str) -> tuple[int, str]:
    head = node.partition(".")[0].partition(":")[0]
    return (int(head) if head.isdecimal() else 2**31, node)
