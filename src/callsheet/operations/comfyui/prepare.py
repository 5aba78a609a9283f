"""From what a job says to a graph: the workflow chosen, its inputs checked and put in place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from callsheet.comfyui.graph import Graph, copied, find_field, merged, problems_of, set_input, unwrapped
from callsheet.comfyui.workflows import InputKind, Workflow, default_graph, load_workflow, values_for
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
class GivenFile:
    """A file that the server is to have, and the fields that get its name there."""

    param: str
    """By which the job gave it."""
    source: MediaSource
    kind: InputKind
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreparedGraph:
    """A graph that lacks nothing but the names of its files on the server."""

    graph: Graph
    files: tuple[GivenFile, ...] = ()
    tags: frozenset[str] = frozenset()
    workflow: str | None = None
    """Equal for graphs that need the same models."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Field → the parameter that is put there, for errors."""


def prepare_graph(
    workflow: str | None,
    graph: Mapping[str, Any] | None,
    inputs: Mapping[str, Any],
    files: Mapping[str, MediaSource],
    settings: Settings,
) -> PreparedGraph:
    """Put a job's inputs into its workflow.

    Raises BadParams with all that is wrong, ConfigurationError for a stored workflow that is broken.
    """
    if workflow is not None and graph is not None:
        raise BadParams([Problem("graph", "conflicting_fields", "give either a workflow's name or a graph, not both")])
    if workflow is not None:
        return _from_workflow(load_workflow(workflow, settings), inputs, files)
    return _from_graph(_whole(graph, settings), inputs, files)


def _from_workflow(chosen: Workflow, inputs: Mapping[str, Any], files: Mapping[str, MediaSource]) -> PreparedGraph:
    specs = chosen.about.inputs
    given = {**inputs, **{name: source.root for name, source in files.items()}}
    values, problems = values_for(chosen, given)
    graph, found = copied(chosen.graph), []
    for name, value in values.items():
        spec = specs[name]
        if not spec.is_file:
            for path in spec.to:
                set_input(graph, path, value)
        elif (source := _as_source(value)) is None:
            problems.append(Problem(f"inputs.{name}", "not_a_file", f"a media source belongs here, not {value!r:.80}"))
        else:
            found.append(GivenFile(f"inputs.{name}", source, spec.type, tuple(spec.to)))
    if problems:
        raise BadParams(problems)
    names = {path: f"inputs.{name}" for name, spec in specs.items() for path in spec.to}
    return PreparedGraph(graph, tuple(found), frozenset(chosen.about.tags), chosen.name, names)


def _whole(graph: Mapping[str, Any] | None, settings: Settings) -> Graph:
    base, over = default_graph(settings), unwrapped(graph)
    if over is None:
        if base is None:
            words = "name a workflow, give a graph, or set COMFYUI_VIDEO_WORKFLOW_JSON"
            raise BadParams([Problem("workflow", "missing", words)])
        return base
    # What lacks the kinds of its nodes is meant as changes to the workflow that is set.
    whole: Any = over if base is None or _is_complete(over) else merged(base, over)
    if problems := problems_of(whole):
        raise BadParams(problems)
    return copied(whole)


def _is_complete(graph: Mapping[str, Any]) -> bool:
    return all(isinstance(node, dict) and "class_type" in node for node in graph.values())


def _from_graph(graph: Graph, inputs: Mapping[str, Any], files: Mapping[str, MediaSource]) -> PreparedGraph:
    problems = [*_unplaced(graph, inputs, "inputs"), *_unplaced(graph, files, "files")]
    if problems:
        raise BadParams(problems)
    found = [_given(graph, "files", path, source) for path, source in files.items()]
    for path, value in inputs.items():
        source = _as_source(value) if isinstance(value, dict) else None
        if source is not None:
            found.append(_given(graph, "inputs", path, source))
        else:
            set_input(graph, path, value)
    # An input may be a link, and lead to no node, or in a circle.
    if problems := problems_of(graph):
        raise BadParams(problems)
    names = {path: f"{group}.{path}" for group, given in (("inputs", inputs), ("files", files)) for path in given}
    return PreparedGraph(graph, tuple(found), names=names)


def _given(graph: Graph, group: str, path: str, source: MediaSource) -> GivenFile:
    place = find_field(graph, path)
    kind = _LOADERS.get(graph[place[0]]["class_type"], "file") if place else "file"
    return GivenFile(f"{group}.{path}", source, kind, (path,))


def _unplaced(graph: Graph, given: Mapping[str, Any], group: str) -> Iterator[Problem]:
    for path in given:
        if find_field(graph, path) is None:
            words = "name a field of the graph as 'node.input', as in '6.text'; its nodes are: " + ", ".join(graph)
            yield Problem(f"{group}.{path}", "no_such_field", words[:400])


def _as_source(value: Any) -> MediaSource | None:
    try:
        return MediaSource.model_validate(value)
    except ValidationError:
        return None
