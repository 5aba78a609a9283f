"""Validation of prompts, with the error messages of the real server."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from callsheet.fakes.comfyui.all_nodes import KINDS
from callsheet.fakes.comfyui.nodes import NodeKind

Errors = dict[str, dict[str, Any]]
_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str}


def validate_prompt(
    prompt: Any, file_exists: Callable[[str], bool], missing: Container[str] = ()
) -> tuple[dict[str, Any] | None, list[str], Errors]:
    """Return the error of the whole prompt, if there is one; the valid output nodes; and the errors of nodes.

    `missing` are the node classes that are not installed.
    """
    for node, fields in prompt.items():
        class_type = fields.get("class_type")
        if class_type not in KINDS or class_type in missing:
            title = (fields.get("_meta") or {}).get("title", class_type)
            message = f"Node '{title}' not found. The custom node may not be installed."
            if class_type is None:
                message = (
                    f"Node 'ID #{node}' has no class_type. The workflow may be corrupted or a custom node is missing."
                )
            facts = {"node_id": node, "class_type": class_type, "node_title": title}
            return _error("missing_node_type", message, f"Node ID '#{node}'", facts), [], {}
    outputs = [node for node, fields in prompt.items() if KINDS[fields["class_type"]].output]
    if not outputs:
        return _error("prompt_no_outputs", "Prompt has no outputs"), [], {}
    errors: Errors = {}
    raised: list[str] = []
    valid = [node for node in outputs if _is_valid(prompt, node, errors, raised, file_exists)]
    if not valid:
        details = "\n".join(raised)
        return _error("prompt_outputs_failed_validation", "Prompt outputs failed validation", details), [], errors
    return None, valid, errors


def _is_valid(prompt: Any, output: str, errors: Errors, raised: list[str], exists: Callable[[str], bool]) -> bool:
    """Validate an output node. As in the real server, an exception stops it, and is reported for this node."""
    try:
        return _validate_node(prompt, output, output, errors, exists, ())
    except IndexError as error:
        trace = {"exception_type": "IndexError", "traceback": ['  File "/srv/ComfyUI/execution.py", line 935\n']}
        found = _error("exception_during_validation", "Exception when validating node", str(error), trace)
        class_type = prompt[output]["class_type"]
        errors[output] = {"errors": [found], "dependent_outputs": [output], "class_type": class_type}
        raised.append(f"{found['message']}: {error}")
        return False


def _error(kind: str, message: str, details: str = "", facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": dict(facts or {})}


def _validate_node(
    prompt: Any, node: str, output: str, errors: Errors, exists: Callable[[str], bool], seen: tuple[str, ...]
) -> bool:
    if node in seen:
        _add_cycle(prompt, [*seen[seen.index(node) :], node], output, errors)
        return False
    kind = KINDS[prompt[node]["class_type"]]
    found: list[dict[str, Any]] = []
    valid = True
    for name, (wanted, limits) in {**kind.inputs, **kind.optional}.items():
        value = prompt[node]["inputs"].get(name)
        if isinstance(value, list) and len(value) == 2:
            valid &= _validate_node(prompt, value[0], output, errors, exists, (*seen, node))
            found += _link_errors(prompt, name, wanted, value)
        elif value is None and name in kind.optional:
            continue
        elif value is None:
            found.append(_input_error("required_input_missing", "Required input is missing", name, name))
        else:
            found += _value_errors(kind, name, wanted, limits, value, exists)
    if found:
        details = errors.setdefault(node, {"errors": found, "dependent_outputs": [], "class_type": ""})
        details["class_type"] = prompt[node]["class_type"]
        details["dependent_outputs"].append(output)
    return valid and not found


def _add_cycle(prompt: Any, path: Sequence[str], output: str, errors: Errors) -> None:
    details = " -> ".join(f"{node} ({prompt[node]['class_type']})" for node in path)
    nodes = list(dict.fromkeys(path))
    for node in nodes:
        facts = {"node_id": node, "cycle_nodes": nodes}
        error = _error("dependency_cycle", "Dependency cycle detected", details, facts)
        class_type = prompt[node]["class_type"]
        errors[node] = {"errors": [error], "dependent_outputs": [output], "class_type": class_type}


def _input_error(kind: str, message: str, details: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {"input_name": name, **more}}


def _link_errors(prompt: Any, name: str, wanted: Any, value: list[Any]) -> list[dict[str, Any]]:
    returns = KINDS[prompt[value[0]]["class_type"]].returns
    if wanted not in ("*", returns[value[1]]):
        message = f"{name}, received_type({returns[value[1]]}) mismatch input_type({wanted})"
        return [_input_error("return_type_mismatch", "Return type mismatch between linked nodes", message, name)]
    return []


def _value_errors(
    kind: NodeKind, name: str, wanted: Any, limits: Mapping[str, Any], value: Any, exists: Callable[[str], bool]
) -> list[dict[str, Any]]:
    given = {"input_config": [wanted, dict(limits)], "received_value": value}
    if isinstance(wanted, list):
        if value not in wanted:
            return [
                _input_error(
                    "value_not_in_list", "Value not in list", f"{name}: '{value}' not in {wanted}", name, **given
                )
            ]
        return []
    if name == kind.file_input and not exists(value):
        message = f"{name} - Invalid image file: {value}"
        return [_input_error("custom_validation_failed", "Custom validation failed for node", message, name)]
    try:
        converted = _CONVERTERS.get(wanted, lambda each: each)(value)
    except (TypeError, ValueError) as error:
        message = f"Failed to convert an input value to a {wanted} value"
        return [_input_error("invalid_input_type", message, f"{name}, {value}, {error}", name, **given)]
    if "min" in limits and converted < limits["min"]:
        return [
            _input_error(
                "value_smaller_than_min", f"Value {converted} smaller than min of {limits['min']}", name, name, **given
            )
        ]
    if "max" in limits and converted > limits["max"]:
        return [
            _input_error(
                "value_bigger_than_max", f"Value {converted} bigger than max of {limits['max']}", name, name, **given
            )
        ]
    return []
