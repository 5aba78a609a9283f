"""Stored workflows: a graph, and a small file that gives names to some of its fields.

`talk.json` holds the graph in API format, `talk.inputs.yaml` beside it what a job may say:

    description: A face that speaks
    tags: [wan]
    inputs:
      prompt: {to: 6.text, type: string}
      image: {to: 10.image, type: image}
      seed: {to: [3.seed, 9.noise_seed], type: seed}
      width: {to: 5.width, type: integer, min: 64, max: 2048, step: 8, default: 832}
"""

import json
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from callsheet.comfyui.graph import Graph, find_field, is_link, missing_fields, problems_of, unwrapped
from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.model import Model
from callsheet.settings import Settings

GROUP = "callsheet.workflows"
"""Entry points: packages whose files are stored workflows."""

InputKind = Literal["string", "integer", "number", "boolean", "choice", "seed", "image", "video", "audio", "file"]
MEDIA_KINDS = frozenset({"image", "video", "audio", "file"})
_MOST_SEED = 2**32 - 1
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "seed": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class InputSpec(Model):
    """One named input of a workflow."""

    to: list[str] = Field(min_length=1, description="Fields of the graph that it is put into, as `node.input`")
    type: InputKind
    description: str = ""
    default: Any = Field(None, description="Unset: what stands in the graph; a seed is drawn anew for every job")
    required: bool | None = Field(None, description="Unset: files are, all else is not")
    min: float | None = None
    max: float | None = None
    step: float | None = None
    options: list[str] | None = Field(None, description="Of a choice")

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _a_choice_has_options(self) -> Self:
        if (self.type == "choice") != bool(self.options):
            raise ValueError("a choice has options, and nothing else has")
        return self

    @property
    def is_file(self) -> bool:
        """Whether a file is given for it."""
        return self.type in MEDIA_KINDS

    @property
    def is_required(self) -> bool:
        """Whether a job must give it."""
        return self.is_file and self.default is None if self.required is None else self.required


class Described(Model):
    """What stands in the file beside a graph."""

    title: str | None = None
    description: str = ""
    tags: list[str] = Field(default_factory=list, description="That a server must have to run it")
    inputs: dict[str, InputSpec] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A stored workflow."""

    name: str
    graph: Graph
    about: Described


def stored_workflows(settings: Settings) -> dict[str, Path]:
    """Return the graphs of all stored workflows by name; those of the settings' folder go before those of packages."""
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
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        yield Path(str(files(point.value)))


def load_workflow(name: str, settings: Settings) -> Workflow:
    """Return a stored workflow. Raises BadParams when there is none of that name, ConfigurationError when it is broken."""
    known = stored_workflows(settings)
    if name not in known:
        there = ", ".join(known) or "none (CALLSHEET_COMFYUI_WORKFLOWS names their folder)"
        raise BadParams([Problem("workflow", "unknown_workflow", f"there is no workflow '{name}'; there are: {there}")])
    return read_workflow(known[name])


def read_workflow(path: Path) -> Workflow:
    """Read a graph with the file beside it. Raises ConfigurationError with all that is wrong."""
    graph = unwrapped(_json(_text_of(path, str(path)), str(path)))
    problems = [repr(problem) for problem in problems_of(graph, path.name)]
    about, wrong = _described(path)
    problems += wrong
    if not problems:
        problems = [
            f"{name}: the graph has no node for '{field}'"
            for name, spec in about.inputs.items()
            for field in missing_fields(graph, spec.to)
        ]
    if problems:
        raise ConfigurationError("\n  ".join([f"The workflow {path} cannot be used:", *problems]))
    return Workflow(path.stem, graph, about)


def _described(path: Path) -> tuple[Described, list[str]]:
    beside = path.with_name(f"{path.stem}.inputs.yaml")
    if not beside.is_file():
        return Described(), []
    try:
        return Described.model_validate(yaml.safe_load(_text_of(beside, str(beside))) or {}), []
    except yaml.YAMLError as error:
        return Described(), [f"{beside.name} is not YAML: {' '.join(str(error).split())}"]
    except ValidationError as error:
        return Described(), [f"{beside.name}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]


def default_graph(settings: Settings) -> Graph | None:
    """Return the graph of COMFYUI_VIDEO_WORKFLOW_JSON, if it is set; raises ConfigurationError when it is none."""
    given = settings.comfyui_video_workflow_json
    if given is None:
        return None
    text = given if given.lstrip().startswith("{") else _text_of(Path(given), "COMFYUI_VIDEO_WORKFLOW_JSON")
    graph = unwrapped(_json(text, "COMFYUI_VIDEO_WORKFLOW_JSON"))
    problems = problems_of(graph)
    if problems:
        raise ConfigurationError(
            "\n  ".join(["COMFYUI_VIDEO_WORKFLOW_JSON cannot be used:", *(repr(problem) for problem in problems)])
        )
    return graph  # type: ignore[no-any-return] # checked above


def _text_of(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read as a file: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not text in UTF-8") from None


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{name} is not JSON: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{name} is nested too deeply") from None


def values_for(workflow: Workflow, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the value of every named input that is put into the graph, and all that is wrong with those given."""
    specs = workflow.about.inputs
    problems = [_unknown(name, specs) for name in given if name not in specs]
    values: dict[str, Any] = {}
    for name, spec in specs.items():
        value = given.get(name)
        if value is None:
            value = _fallback(spec)
        if value is None:
            if spec.is_required:
                problems.append(Problem(f"inputs.{name}", "missing", f"the workflow needs it: {_asked(spec)}"))
            continue
        reason = None if spec.is_file else _unfit(spec, value)
        if reason is not None:
            problems.append(Problem(f"inputs.{name}", "bad_value", f"{value!r}: {reason}"))
        values[name] = value
    return values, problems


def _fallback(spec: InputSpec) -> Any:
    if spec.default is None and spec.type == "seed":
        return random.randint(0, _MOST_SEED)  # noqa: S311 - a picture depends on it, no secret
    return spec.default


def _unknown(name: str, specs: Mapping[str, InputSpec]) -> Problem:
    return Problem(f"inputs.{name}", "unknown_input", f"the workflow has no input '{name}'; it has: {', '.join(specs)}")


def _unfit(spec: InputSpec, value: Any) -> str | None:
    if spec.type == "choice":
        return None if value in (spec.options or ()) else f"one of {', '.join(spec.options or ())} is allowed"
    if not isinstance(value, _TYPES[spec.type]) or (isinstance(value, bool) and spec.type != "boolean"):
        return _asked(spec)
    if not isinstance(value, bool) and isinstance(value, int | float):
        return _out_of_range(spec, value)
    return None


def _out_of_range(spec: InputSpec, value: float) -> str | None:
    low, high = spec.min is not None and value < spec.min, spec.max is not None and value > spec.max
    if low or high:
        return _asked(spec)
    if spec.step and abs((value - (spec.min or 0)) / spec.step % 1) > 1e-9:
        return f"only steps of {spec.step:g} from {spec.min or 0:g} on are allowed"
    return None


def _asked(spec: InputSpec) -> str:
    kind = {"integer": "a whole number", "seed": "a whole number", "string": "text"}.get(spec.type, f"a {spec.type}")
    ends = [f"at least {spec.min:g}"] if spec.min is not None else []
    ends += [f"at most {spec.max:g}"] if spec.max is not None else []
    return " of ".join(filter(None, (kind, " and ".join(ends))))


def form_of(workflow: Workflow) -> dict[str, Any]:
    """Return the JSON Schema of a workflow's inputs, as forms are drawn from."""
    inputs = workflow.about.inputs
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _field_schema(workflow, spec) for name, spec in inputs.items()},
        "required": [name for name, spec in inputs.items() if spec.is_required],
    }


def _field_schema(workflow: Workflow, spec: InputSpec) -> dict[str, Any]:
    kinds = {"integer": "integer", "seed": "integer", "number": "number", "boolean": "boolean"}
    schema: dict[str, Any] = {"type": kinds.get(spec.type, "string"), "description": spec.description}
    if spec.is_file:
        schema |= {"format": "media-source", "contentMediaType": f"{spec.type}/*"}
    bounds = {"minimum": spec.min, "maximum": spec.max, "multipleOf": spec.step, "enum": spec.options}
    schema |= {key: value for key, value in bounds.items() if value is not None}
    default = spec.default if spec.default is not None else _in_graph(workflow.graph, spec)
    return schema if default is None else {**schema, "default": default}


def _in_graph(graph: Graph, spec: InputSpec) -> Any:
    place = find_field(graph, spec.to[0])
    value = graph[place[0]]["inputs"].get(place[1]) if place else None
    return None if spec.is_file or spec.type == "seed" or is_link(value) else value
