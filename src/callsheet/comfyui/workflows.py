"""Stored workflows: a graph, and a file that gives names to some of its fields.

`talk.json` contains the graph in API format. `talk.inputs.yaml` beside it describes the inputs of a job:

    description: A talking face
    tags: [wan]
    inputs:
      prompt: {to: 6.text, type: string}
      image: {to: 10.image, type: image}
      seed: {to: [3.seed, 9.noise_seed], type: seed}
      width: {to: 5.width, type: integer, min: 64, max: 2048, step: 8, default: 832}
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from callsheet.comfyui.editor_format import NotConvertible, editor_classes, to_api_format
from callsheet.comfyui.graph import (
    Graph,
    copy_graph,
    find_field,
    is_editor_format,
    missing_fields,
    unwrap_prompt,
    validate_graph,
)
from callsheet.comfyui.known_nodes import KnownNodes
from callsheet.comfyui.needs import read_needs
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.json_text import read_json
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_problems
from callsheet.domain.yaml_text import read_yaml
from callsheet.settings import Settings

GROUP = "callsheet.workflows"
"""Entry point group of packages that contain stored workflows."""

InputKind = Literal["string", "integer", "number", "boolean", "choice", "seed", "image", "video", "audio", "file"]
MEDIA_KINDS = frozenset({"image", "video", "audio", "file"})


class InputSpec(Model):
    """One named input of a workflow."""

    to: list[str] = Field(min_length=1, description="Fields of the graph that are set to the value, as `node.input`")
    type: InputKind
    description: str = ""
    default: Any = Field(None, description="Default: the value in the graph; for a seed, a random number per job")
    required: bool | None = Field(None, description="Default: true for files, false for other types")
    min: float | None = None
    max: float | None = None
    step: float | None = None
    options: list[str] | None = Field(None, description="Allowed values of a choice")

    @field_validator("to", mode="before")
    @classmethod
    def _to_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if (self.type == "choice") != bool(self.options):
            raise ValueError("a choice needs options, and other types must not have them")
        return self

    @property
    def is_file(self) -> bool:
        """Whether the value is a file."""
        return self.type in MEDIA_KINDS

    @property
    def is_required(self) -> bool:
        """Whether a job must give a value."""
        return self.is_file and self.default is None if self.required is None else self.required


class WorkflowDescription(Model):
    """Contents of the `.inputs.yaml` file of a workflow."""

    title: str | None = None
    description: str = ""
    tags: list[str] = Field(default_factory=list, description="Tags that a server must have to run the workflow")
    inputs: dict[str, InputSpec] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A stored workflow."""

    name: str
    graph: Graph
    description: WorkflowDescription


def stored_workflows(settings: Settings) -> dict[str, Path]:
    """Return the graph files of all stored workflows by name.

    The folder of the settings takes precedence over installed packages. Raises ConfigurationError when it is missing.
    """
    found: dict[str, Path] = {}
    for folder in _folders(settings):
        for path in sorted(folder.glob("*.json")):
            found.setdefault(path.stem, path)
    return found


def _folders(settings: Settings) -> Iterator[Path]:
    if settings.comfyui_workflows is not None:
        if not settings.comfyui_workflows.is_dir():
            raise ConfigurationError(f"There is no folder {settings.comfyui_workflows} (CALLSHEET_COMFYUI_WORKFLOWS).")
        yield settings.comfyui_workflows
    yield from _installed_folders()


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[Path, ...]:
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(Path(str(files(point.value))) for point in points)


def load_workflow(name: str, settings: Settings) -> Workflow:
    """Return a stored workflow. Raises BadParams when it does not exist, ConfigurationError when it is invalid."""
    stored = stored_workflows(settings)
    if name not in stored:
        known = ", ".join(stored) or "none (CALLSHEET_COMFYUI_WORKFLOWS is the folder of workflows)"
        message = f"there is no workflow '{name}'; known workflows: {known}"
        raise BadParams([Problem("workflow", "unknown_workflow", message)])
    return _load(stored[name], settings)


def _load(path: Path, settings: Settings) -> Workflow:
    """Read a workflow, or return it from memory if neither of its files has changed."""
    versions = [_version(file) for file in (path, _description_path(path))]
    kept = _loaded.get(path)
    if kept is None or kept[0] != versions:
        workflow = read_workflow(path, settings)
        if len(_loaded) >= _MAX_LOADED:
            _loaded.clear()
        kept = _loaded[path] = (versions, workflow)
    return kept[1]


_MAX_LOADED = 200
_loaded: dict[Path, tuple[list[tuple[int, int] | None], Workflow]] = {}


def _version(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def read_workflow(path: Path, settings: Settings | None = None) -> Workflow:
    """Read a graph with its description. Raises ConfigurationError with every problem.

    With `settings`, a workflow in the format of the editor is converted, if a server of the settings is known to have
    its nodes.
    """
    graph = unwrap_prompt(_parse_json(_read_text(path, str(path)), str(path)))
    problems: list[str] = []
    if settings is not None:
        try:
            graph = to_graph(graph, settings, path.name)
        except BadParams as error:
            problems = [repr(problem) for problem in error.problems]
    problems = problems or [repr(problem) for problem in validate_graph(graph, path.name)]
    description, description_problems = _read_description(path)
    problems += description_problems
    if not problems:
        problems = list(_wrong_targets(path, graph, description, settings))
    if problems:
        raise ConfigurationError("\n  ".join([f"The workflow {path} is invalid:", *problems]))
    return Workflow(path.stem, graph, description)


def to_graph(value: Any, settings: Settings, path: str = "graph") -> Any:
    """Return a workflow of the editor as a graph; anything else as it is.

    Raises BadParams when it cannot be converted. It may ask servers for their nodes: call it in a thread.
    """
    if not is_editor_format(value):
        return value
    try:
        return _convert(value, settings)
    except NotConvertible as error:
        [problem] = validate_graph(value, path)
        raise BadParams([Problem(path, problem.code, f"{problem.message} ({error})")]) from None


def _convert(workflow: Mapping[str, Any], settings: Settings) -> Graph:
    """Convert a workflow of the editor with the nodes of the server that has most of them. Raises NotConvertible."""
    known, wanted = KnownNodes(settings), editor_classes(workflow)
    if not any(wanted <= schemas.keys() for schemas in known.by_server()):
        known.ask_servers()
    servers = sorted(known.by_server(), key=lambda schemas: len(wanted - schemas.keys()))
    if not servers:
        raise NotConvertible("it can be converted only with a ComfyUI server, and none responds")
    try:
        return to_api_format(workflow, servers[0])
    except NotConvertible as error:
        raise NotConvertible(f"it cannot be converted: {error}") from None


def _wrong_targets(
    path: Path, graph: Graph, description: WorkflowDescription, settings: Settings | None
) -> Iterator[str]:
    for name, spec in description.inputs.items():
        missing = missing_fields(graph, spec.to)
        yield from (f"{name}: the graph has no node for '{field}'" for field in missing)
        for field in spec.to:
            if (
                settings is not None
                and field not in missing
                and (reason := unknown_field(graph, field, path, settings))
            ):
                yield f"{name}: {reason}"


def unknown_field(graph: Graph, field: str, workflow: Path | None, settings: Settings) -> str | None:
    """Return why a field `node.input` cannot be set; None when it can, or when nothing is known about the node.

    An optional input may be missing in a graph, so the servers decide, or the needs of the stored workflow.
    """
    found = find_field(graph, field)
    if found is None or found[1] in graph[found[0]]["inputs"]:
        return None
    class_type, name = graph[found[0]]["class_type"], found[1]
    described = {} if workflow is None else read_needs(workflow).object_info()
    known = KnownNodes(settings)
    if _described(described, class_type, name) or known.takes(class_type, name) is not False:
        return None
    inputs = known.inputs(class_type)
    return f"{class_type} has no input '{name}'{did_you_mean(name, inputs)}; its inputs: {', '.join(inputs)}"


def _described(object_info: Mapping[str, Any], class_type: str, name: str) -> bool:
    groups = object_info.get(class_type, {}).get("input", {})
    return any(name in group for group in groups.values())


def _description_path(graph_path: Path) -> Path:
    return graph_path.with_name(f"{graph_path.stem}.inputs.yaml")


def _read_description(graph_path: Path) -> tuple[WorkflowDescription, list[str]]:
    path = _description_path(graph_path)
    if not path.is_file():
        return WorkflowDescription(), []
    try:
        data = read_yaml(_read_text(path, str(path)).encode()) or {}
        return WorkflowDescription.model_validate(data), []
    except DocumentError as error:
        return WorkflowDescription(), [f"{path.name}: {error.located}"]
    except ValidationError as error:
        problems = [f"{path.name}: {problem!r}" for problem in validation_problems(error, WorkflowDescription)]
        return WorkflowDescription(), problems


def default_graph(settings: Settings) -> Graph | None:
    """Return the graph of COMFYUI_VIDEO_WORKFLOW_JSON, if it is set. Raises ConfigurationError when it is invalid."""
    value = settings.comfyui_video_workflow_json
    if value is None:
        return None
    text = value if value.lstrip().startswith("{") else _read_text(Path(value), "COMFYUI_VIDEO_WORKFLOW_JSON")
    return copy_graph(_parse_default(text))


@lru_cache(maxsize=4)
def _parse_default(text: str) -> Graph:
    graph = unwrap_prompt(_parse_json(text, "COMFYUI_VIDEO_WORKFLOW_JSON"))
    problems = validate_graph(graph)
    if problems:
        raise ConfigurationError(
            "\n  ".join(["COMFYUI_VIDEO_WORKFLOW_JSON is invalid:", *(repr(problem) for problem in problems)])
        )
    return graph  # type: ignore[no-any-return] # validated above


def _read_text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read as a file: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not text in UTF-8") from None


def _parse_json(text: str, name: str) -> Any:
    try:
        return read_json(text.encode())
    except DocumentError as error:
        raise ConfigurationError(f"{name}: {error.located}") from None
