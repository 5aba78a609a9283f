"""Schemas of nodes, as ComfyUI describes them at `GET /object_info`, and the check of a graph against them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from callsheet.comfyui.graph import Graph, is_link
from callsheet.domain.did_you_mean import did_you_mean

MODEL_SUFFIXES = (".safetensors", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".onnx", ".sft")
"""Suffixes of model files."""

_ANY_TYPE = "*"
_NUMBERS = frozenset({"INT", "FLOAT"})
_WIDGETS = _NUMBERS | {"STRING", "BOOLEAN", "COMBO"}
_SEEDS = frozenset({"seed", "noise_seed"})
_TAKE_ALL = frozenset({"CustomCombo"})
"""Nodes whose options the editor adds to the workflow."""
_UNCHECKED_INPUTS = frozenset({"LoadImage", "LoadImageMask", "LoadAudio", "LoadVideo"}) | _TAKE_ALL
"""Nodes whose options are the files in the input folder, or are not known. A job uploads its files before it runs."""
_EDITOR_ONLY = frozenset({(name, "upload") for name in _UNCHECKED_INPUTS})
"""Inputs that the editor writes for its buttons."""
_MOST_GROWN = 1000

Kind = Literal["missing_node", "missing_model", "unknown_input", "missing_input", "wrong_value"]


@dataclass(frozen=True, slots=True)
class InputSchema:
    """One input of a node."""

    type: str
    """A type of a link, such as `IMAGE`; `INT`, `FLOAT`, `STRING`, `BOOLEAN`; or `COMBO`."""
    required: bool
    options: tuple[Any, ...] | None = None
    """The values of a COMBO."""
    min: float | None = None
    max: float | None = None
    is_widget: bool = False
    """Whether the editor stores its value in `widgets_values`."""
    has_control: bool = False
    """Whether the editor stores what happens to the value after a run, such as `randomize`, behind it."""
    default: Any = None


@dataclass(frozen=True, slots=True)
class NodeSchema:
    """The inputs and outputs of a node class."""

    inputs: Mapping[str, InputSchema]
    outputs: tuple[str, ...]
    hidden: frozenset[str] = field(default_factory=frozenset)
    """Names of inputs that the server fills, and of those that depend on another input."""
    takes_all: bool = False
    """Whether it takes inputs of any name."""

    def takes(self, name: str) -> bool:
        """Whether the node has an input of this name."""
        return self.takes_all or name in self.inputs or name in self.hidden


@dataclass(frozen=True, slots=True)
class Fault:
    """What a graph needs and these nodes do not have."""

    kind: Kind
    node: str
    """Node id; several, separated by commas, for `missing_node`."""
    class_type: str
    input: str | None
    value: Any
    message: str


def read_schemas(object_info: Mapping[str, Any]) -> dict[str, NodeSchema]:
    """Return the schemas in a response of `GET /object_info`. Entries that are no objects are left out."""
    return {
        name: replace(_read_schema(info), takes_all=name in _TAKE_ALL)
        for name, info in object_info.items()
        if isinstance(info, Mapping)
    }


def _read_schema(info: Mapping[str, Any]) -> NodeSchema:
    groups = _mapping(info.get("input"))
    inputs: dict[str, InputSchema] = {}
    hidden = set(_mapping(groups.get("hidden")))
    for group in ("required", "optional"):
        for name, spec in _mapping(groups.get(group)).items():
            found = _read_input(spec, required=group == "required")
            inputs[name] = replace(found, has_control=found.has_control or (found.type == "INT" and name in _SEEDS))
            hidden |= {*_widgets_of_formats(spec), *_dependent_inputs(name, spec)}
    outputs = info.get("output")
    names = outputs if isinstance(outputs, list | tuple) else ()
    return NodeSchema(inputs, tuple(name if isinstance(name, str) else "COMBO" for name in names), frozenset(hidden))


def _read_input(spec: Any, *, required: bool) -> InputSchema:
    kind, options = (spec[0], _mapping(spec[1]) if len(spec) > 1 else {}) if _is_spec(spec) else (_ANY_TYPE, {})
    is_widget = (isinstance(kind, list) or kind in _WIDGETS) and not options.get("forceInput")
    has_control = bool(options.get("control_after_generate"))
    listed = kind if isinstance(kind, list) else options.get("options")
    default = options.get("default")
    if isinstance(kind, list) or kind == "COMBO":
        choices = tuple(listed) if isinstance(listed, list) else None
        default = choices[0] if default is None and choices else default
        return InputSchema("COMBO", required, choices, is_widget=is_widget, has_control=has_control, default=default)
    low, high = _number(options.get("min")), _number(options.get("max"))
    return InputSchema(str(kind), required, None, low, high, is_widget, has_control, default)


def _is_spec(spec: Any) -> bool:
    return isinstance(spec, list | tuple) and len(spec) > 0


def _widgets_of_formats(spec: Any) -> Iterator[str]:
    """Yield the widgets that VideoHelperSuite adds by format: {"formats": {"video/h264-mp4": [["crf", "INT"], …]}}."""
    options = _mapping(spec[1]) if _is_spec(spec) and len(spec) > 1 else {}
    for widgets in _mapping(options.get("formats")).values():
        for widget in widgets if isinstance(widgets, list) else ():
            if isinstance(widget, list) and widget and isinstance(widget[0], str):
                yield widget[0]


def _dependent_inputs(name: str, spec: Any) -> Iterator[str]:
    """Yield the inputs that depend on one of version 3: `format.quality` of a choice, `values.a` of a growing list."""
    options = _mapping(spec[1]) if _is_spec(spec) and len(spec) > 1 else {}
    kind = spec[0] if _is_spec(spec) else None
    if kind == "COMFY_DYNAMICCOMBO_V3":
        for option in options.get("options") or ():
            yield from _named(name, _mapping(_mapping(option).get("inputs")))
    elif kind == "COMFY_AUTOGROW_V3":
        template = _mapping(options.get("template"))
        names, most = template.get("names"), template.get("max")
        prefix, count = str(template.get("prefix")), most if isinstance(most, int) else _MOST_GROWN
        grown = names if isinstance(names, list) else [f"{prefix}{number}" for number in range(min(count, _MOST_GROWN))]
        yield from (f"{name}.{each}" for each in grown)


def _named(name: str, groups: Mapping[str, Any]) -> Iterator[str]:
    for group in groups.values():
        for inner, spec in _mapping(group).items():
            yield f"{name}.{inner}"
            if _is_spec(spec):
                yield from _dependent_inputs(f"{name}.{inner}", spec)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def check_graph(graph: Graph, schemas: Mapping[str, NodeSchema]) -> list[Fault]:
    """Return everything that a valid graph needs and these nodes lack: classes, model files, inputs, values."""
    faults = list(_missing_nodes(graph, schemas))
    for node, fields in graph.items():
        if fields["class_type"] in schemas:
            faults += _check_node(graph, node, schemas)
    return faults


def _missing_nodes(graph: Graph, schemas: Mapping[str, NodeSchema]) -> Iterator[Fault]:
    nodes: dict[str, list[str]] = {}
    for node, fields in graph.items():
        if fields["class_type"] not in schemas:
            nodes.setdefault(fields["class_type"], []).append(node)
    for class_type, ids in nodes.items():
        yield Fault("missing_node", ", ".join(ids), class_type, None, None, "the server has no such node")


def _check_node(graph: Graph, node: str, schemas: Mapping[str, NodeSchema]) -> Iterator[Fault]:
    class_type, inputs = graph[node]["class_type"], graph[node]["inputs"]
    schema = schemas[class_type]
    for name, spec in schema.inputs.items():
        if spec.required and name not in inputs:
            yield Fault("missing_input", node, class_type, name, None, "the node requires this input")
    for name, value in inputs.items():
        if (found := schema.inputs.get(name)) is not None:
            reason = _reject(graph, value, found, schemas)
            is_unchecked = class_type in _UNCHECKED_INPUTS and found.options is not None
            if reason is not None and not is_unchecked:
                yield Fault(_kind_of(value), node, class_type, name, value, reason)
        elif not schema.takes(name) and (class_type, name) not in _EDITOR_ONLY:
            message = f"the node has no such input{did_you_mean(name, schema.inputs)}"
            yield Fault("unknown_input", node, class_type, name, value, message)


def _kind_of(value: Any) -> Kind:
    return "missing_model" if is_model_file(value) else "wrong_value"


def is_model_file(value: Any) -> bool:
    """Whether a value of a node names a model file."""
    return isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES)


def _reject(graph: Graph, value: Any, spec: InputSchema, schemas: Mapping[str, NodeSchema]) -> str | None:
    """Return why a node does not accept a value; None when it does."""
    if is_link(value):
        return _reject_link(graph, value, spec, schemas)
    if spec.type == "COMBO":
        return _reject_option(value, spec)
    if spec.type in _NUMBERS:
        return _reject_number(value, spec)
    return None


def _reject_link(graph: Graph, link: Any, spec: InputSchema, schemas: Mapping[str, NodeSchema]) -> str | None:
    source = schemas.get(graph[link[0]]["class_type"])
    if source is None:
        return None
    if link[1] >= len(source.outputs):
        count = len(source.outputs)
        return f"node {link[0]} has {count} output{'s' * (count != 1)}, so none with number {link[1]}"
    given = source.outputs[link[1]]
    # A type may be a list, `INT,FLOAT`; types of version 3 that start with COMFY_ are resolved by the server.
    fits = {_ANY_TYPE, given} & {*spec.type.split(","), given if _ANY_TYPE in (given, spec.type) else ""}
    if fits or spec.type.startswith("COMFY_") or given.startswith("COMFY_"):
        return None
    return f"output {link[1]} of node {link[0]} is {given}, and the input takes {spec.type}"


def _reject_option(value: Any, spec: InputSchema) -> str | None:
    if spec.options is None or value in spec.options:
        return None
    if is_model_file(value):
        return "the server has no such model file"
    shown = ", ".join(map(str, spec.options[:20])) or "none"
    return f"must be one of: {shown}{', …' if len(spec.options) > 20 else ''}"


def _reject_number(value: Any, spec: InputSchema) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float) and spec.type == "FLOAT"):
        return f"must be a number ({spec.type})"
    if spec.min is not None and value < spec.min:
        return f"must be at least {spec.min:g}"
    if spec.max is not None and value > spec.max:
        return f"must be at most {spec.max:g}"
    return None
