"""Preparation of a job's graph: selects the workflow, validates the inputs, and sets them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from callsheet.comfyui.graph import (
    Graph,
    copy_graph,
    find_field,
    merge_graphs,
    set_input,
    unwrap_prompt,
    validate_graph,
)
from callsheet.comfyui.workflow_inputs import resolve_inputs
from callsheet.comfyui.workflows import InputKind, Workflow, default_graph, load_workflow
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


def prepare_graph(
    workflow: str | None,
    graph: Mapping[str, Any] | None,
    inputs: Mapping[str, Any],
    files: Mapping[str, MediaSource],
    settings: Settings,
) -> PreparedGraph:
    """Set a job's inputs in its workflow.

    Raises BadParams with every problem, ConfigurationError when a stored workflow is invalid.
    """
    if workflow is not None and graph is not None:
        message = "give either the name of a workflow or a graph, not both"
        raise BadParams([Problem("graph", "conflicting_fields", message)])
    if workflow is not None:
        return _from_workflow(load_workflow(workflow, settings), inputs, files)
    return _from_graph(_complete_graph(graph, settings), inputs, files)


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
    base, given = default_graph(settings), unwrap_prompt(graph)
    if given is None:
        if base is None:
            message = "name a workflow, give a graph, or set COMFYUI_VIDEO_WORKFLOW_JSON"
            raise BadParams([Problem("workflow", "missing", message)])
        return base
    # A graph with nodes without class_type changes the default graph.
    complete: Any = given if base is None or _has_class_types(given) else merge_graphs(base, given)
    if problems := validate_graph(complete):
        raise BadParams(problems)
    return copy_graph(complete)


def _has_class_types(graph: Mapping[str, Any]) -> bool:
    return all(isinstance(node, dict) and "class_type" in node for node in graph.values())


def _from_graph(graph: Graph, inputs: Mapping[str, Any], files: Mapping[str, MediaSource]) -> PreparedGraph:
    problems = [*_unknown_fields(graph, inputs, "inputs"), *_unknown_fields(graph, files, "files")]
    if problems:
        raise BadParams(problems)
    graph_files = [_graph_file(graph, "files", path, source) for path, source in files.items()]
    for path, value in inputs.items():
        source = _as_source(value) if isinstance(value, dict) else None
        if source is not None:
            graph_files.append(_graph_file(graph, "inputs", path, source))
        else:
            set_input(graph, path, value)
    # An input may be a link, so links and cycles are checked again.
    if problems := validate_graph(graph):
        raise BadParams(problems)
    params = {path: f"{group}.{path}" for group, given in (("inputs", inputs), ("files", files)) for path in given}
    return PreparedGraph(graph, tuple(graph_files), params_by_field=params)


def _graph_file(graph: Graph, group: str, path: str, source: MediaSource) -> GraphFile:
    found = find_field(graph, path)
    kind = _LOADERS.get(graph[found[0]]["class_type"], "file") if found else "file"
    return GraphFile(f"{group}.{path}", source, kind, (path,))


def _unknown_fields(graph: Graph, given: Mapping[str, Any], group: str) -> Iterator[Problem]:
    for path in given:
        if find_field(graph, path) is None:
            message = "name a field of the graph as 'node.input', such as '6.text'; its nodes: " + ", ".join(graph)
            yield Problem(f"{group}.{path}", "no_such_field", message[:400])


def _as_source(value: Any) -> MediaSource | None:
    try:
        return MediaSource.model_validate(value)
    except ValidationError:
        return None
