"""Preparation of a job's graph: selects the workflow, validates the inputs, and sets them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callsheet.comfyui.graph import (
    Graph,
    copy_graph,
    find_field,
    is_link,
    merge_graphs,
    replaces_graph,
    set_input,
    unwrap_prompt,
    validate_graph,
)
from callsheet.comfyui.known_nodes import KnownNodes
from callsheet.comfyui.workflow_inputs import resolve_inputs
from callsheet.comfyui.workflows import InputKind, Workflow, default_graph, load_workflow, to_graph, unknown_field
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.settings import Settings

_LOADERS: Mapping[str, InputKind] = {
    "LoadImage": "image",
    "LoadImageMask": "image",
    "LoadAudio": "audio",
    "LoadVideo": "video",
}


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A file to upload, and the fields that get its name on the server."""

    param: str
    """Path of the job's parameter, for problems."""
    source: MediaSource
    kind: InputKind
    fields: tuple[str, ...]
    """Fields of the graph, as `node.input`."""
    path: Path | None = None
    """A file that the job made, to be uploaded instead of the source."""


@dataclass(frozen=True, slots=True)
class PreparedGraph:
    """A graph that is complete except for the names of uploaded files."""

    graph: Graph
    files: tuple[GraphFile, ...] = ()
    tags: frozenset[str] = frozenset()
    workflow: str | None = None
    """Equal for graphs that need the same models."""
    params_by_field: Mapping[str, str] = field(default_factory=dict)
    """Field of the graph → path of the job's parameter, for problems."""
    unverified: tuple[str, ...] = ()
    """Fields that the graph did not have, of nodes that no server is known to have."""


def prepare_graph(
    workflow: str | None,
    graph: Mapping[str, Any] | None,
    inputs: Mapping[str, Any],
    files: Mapping[str, MediaSource],
    settings: Settings,
    images: Sequence[tuple[str, MediaSource]] = (),
) -> PreparedGraph:
    """Set a job's inputs in its workflow. It reads files, and may ask servers for their nodes: call it in a thread.

    Raises BadParams with every problem, ConfigurationError when a stored workflow is invalid.
    """
    if workflow is not None and graph is not None:
        message = "give either the name of a workflow or a graph, not both"
        raise BadParams([Problem("graph", "conflicting_fields", message)])
    if workflow is not None and images:
        message = "images are named by nodes of a graph; a stored workflow takes its files as inputs"
        raise BadParams([Problem("images", "conflicting_fields", message)])
    if workflow is not None:
        return _from_workflow(load_workflow(workflow, settings), inputs, files)
    complete = _complete_graph(graph, settings)
    return _from_graph(complete, inputs, {**_files_of_images(complete, images), **files}, settings)


def _from_workflow(workflow: Workflow, inputs: Mapping[str, Any], files: Mapping[str, MediaSource]) -> PreparedGraph:
    specs = workflow.description.inputs
    given = {**inputs, **{name: source.root for name, source in files.items()}}
    values, problems = resolve_inputs(workflow, given)
    graph, graph_files = copy_graph(workflow.graph), []
    for name, value in values.items():
        spec = specs[name]
        if not spec.is_file:
            for path in spec.to:
                set_input(graph, path, value)
        elif (source := _as_source(value)) is None:
            problems.append(Problem(f"inputs.{name}", "not_a_file", f"expected a media source, got {value!r:.80}"))
        else:
            graph_files.append(GraphFile(f"inputs.{name}", source, spec.type, tuple(spec.to)))
    if problems:
        raise BadParams(problems)
    params = {path: f"inputs.{name}" for name, spec in specs.items() for path in spec.to}
    return PreparedGraph(graph, tuple(graph_files), frozenset(workflow.description.tags), workflow.name, params)


def _complete_graph(graph: Mapping[str, Any] | None, settings: Settings) -> Graph:
    given = to_graph(unwrap_prompt(graph), settings)
    base = default_graph(settings)
    if given is None:
        if base is None:
            message = "name a workflow, give a graph, or set COMFYUI_VIDEO_WORKFLOW_JSON"
            raise BadParams([Problem("workflow", "missing", message)])
        return base
    complete: Any = given if base is None or replaces_graph(given, base) else merge_graphs(base, given)
    if problems := validate_graph(complete):
        raise BadParams(problems)
    return copy_graph(complete)


def _from_graph(
    graph: Graph, inputs: Mapping[str, Any], files: Mapping[str, MediaSource], settings: Settings
) -> PreparedGraph:
    problems = [*_unknown_fields(graph, inputs, "inputs", settings), *_unknown_fields(graph, files, "files", settings)]
    if problems:
        raise BadParams(problems)
    unverified = _unverified(graph, [*inputs, *files], settings)
    graph_files = [_graph_file(graph, "files", path, source) for path, source in files.items()]
    for path, value in inputs.items():
        source = _as_source(value) if isinstance(value, dict) else None
        if source is not None:
            graph_files.append(_graph_file(graph, "inputs", path, source))
        else:
            set_input(graph, path, value)
    # An input may be a link, so links and cycles are checked again.
    if problems := validate_graph(graph) or list(_missing_outputs(graph, KnownNodes(settings))):
        raise BadParams(problems)
    params = {path: f"{group}.{path}" for group, given in (("inputs", inputs), ("files", files)) for path in given}
    return PreparedGraph(graph, tuple(graph_files), params_by_field=params, unverified=unverified)


def _unverified(graph: Graph, paths: Iterable[str], settings: Settings) -> tuple[str, ...]:
    known = KnownNodes(settings)
    added = [(path, find_field(graph, path)) for path in paths]
    return tuple(
        path
        for path, found in added
        if found is not None
        and found[1] not in graph[found[0]]["inputs"]
        and known.takes(graph[found[0]]["class_type"], found[1]) is None
    )


def _graph_file(graph: Graph, group: str, path: str, source: MediaSource) -> GraphFile:
    found = find_field(graph, path)
    kind = _LOADERS.get(graph[found[0]]["class_type"], "file") if found else "file"
    return GraphFile(f"{group}.{path}", source, kind, (path,))


def _unknown_fields(graph: Graph, given: Mapping[str, Any], group: str, settings: Settings) -> Iterator[Problem]:
    for path in given:
        if find_field(graph, path) is None:
            message = "name a field of the graph as 'node.input', such as '6.text'; its nodes: " + ", ".join(graph)
            yield Problem(f"{group}.{path}", "no_such_field", message[:400])
        elif reason := unknown_field(graph, path, None, settings):
            yield Problem(f"{group}.{path}", "no_such_field", reason[:400])


def _missing_outputs(graph: Graph, known: KnownNodes) -> Iterator[Problem]:
    for node, fields in graph.items():
        for name, link in fields["inputs"].items():
            if not is_link(link):
                continue
            source = graph[link[0]]["class_type"]
            count = known.output_count(source, link[1] + 1)
            if count is not None and link[1] >= count:
                message = (
                    f"{source} (node {link[0]}) has {count} output{'s' * (count != 1)}, so none with number {link[1]}"
                )
                yield Problem(f"graph.{node}.{name}", "no_such_output", message)


def _files_of_images(graph: Mapping[str, Any], images: Sequence[tuple[str, MediaSource]]) -> dict[str, MediaSource]:
    """Return the files for the nodes that load the named images. Raises BadParams for names that no node loads."""
    loaded = {
        f"{node}.{name}": value
        for node, fields in graph.items()
        if isinstance(fields, dict) and isinstance(fields.get("inputs"), dict)
        for name, value in fields["inputs"].items()
        if isinstance(value, str) and (str(fields.get("class_type")).startswith("Load") or name in {"image", "mask"})
    }
    files: dict[str, MediaSource] = {}
    problems: list[Problem] = []
    for index, (image, source) in enumerate(images):
        fields_of_image = [field for field, value in loaded.items() if value == image]
        if not fields_of_image:
            message = f"no node of the graph loads '{image}'; files that its nodes load: {', '.join(loaded.values())}"
            problems.append(Problem(f"images[{index}].name", "no_such_field", message[:400]))
        files |= dict.fromkeys(fields_of_image, source)
    if problems:
        raise BadParams(problems)
    return files


def _as_source(value: Any) -> MediaSource | None:
    try:
        return MediaSource.model_validate(value)
    except ValidationError:
        return None
