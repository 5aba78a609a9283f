"""The stand-in's check of a prompt, with the server's own words."""

from collections.abc import Callable, Mapping
from typing import Any

from callsheet.fakes.comfyui.nodes import KINDS, NodeKind

Errors = dict[str, dict[str, Any]]
_READERS: Mapping[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str}


def refused(prompt: Any, file_exists: Callable[[str], bool]) -> tuple[dict[str, Any] | None, list[str], Errors]:
    """Return what is wrong with the whole, if anything; the outputs that will be run; and the errors of nodes."""
    for node, about in prompt.items():
        if about.get("class_type") not in KINDS:
            words = f"Cannot execute because node {about.get('class_type')} does not exist."
            return _error("invalid_prompt", words, f"Node ID '#{node}'"), [], {}
    outputs = [node for node, about in prompt.items() if KINDS[about["class_type"]].output]
    if not outputs:
        return _error("prompt_no_outputs", "Prompt has no outputs"), [], {}
    errors: Errors = {}
    good = [node for node in outputs if _check(prompt, node, node, errors, file_exists, ())]
    if not good:
        return _error("prompt_outputs_failed_validation", "Prompt outputs failed validation"), [], errors
    return None, good, errors


def _error(kind: str, message: str, details: str = "") -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}


def _check(
    prompt: Any, node: str, output: str, errors: Errors, exists: Callable[[str], bool], seen: tuple[str, ...]
) -> bool:
    if node in seen:  # a circle, of which the server says nothing
        return False
    kind = KINDS[prompt[node]["class_type"]]
    found: list[dict[str, Any]] = []
    whole = True
    for name, (wanted, limits) in kind.inputs.items():
        value = prompt[node]["inputs"].get(name)
        if isinstance(value, list) and len(value) == 2:
            whole &= _check(prompt, value[0], output, errors, exists, (*seen, node))
            found += _of_link(prompt, name, wanted, value)
        elif value is None:
            found.append(_of_input("required_input_missing", "Required input is missing", name, name))
        else:
            found += _of_value(kind, name, wanted, limits, value, exists)
    if found:
        about = errors.setdefault(node, {"errors": found, "dependent_outputs": [], "class_type": ""})
        about["class_type"] = prompt[node]["class_type"]
        about["dependent_outputs"].append(output)
    return whole and not found


def _of_input(kind: str, message: str, details: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {"input_name": name, **more}}


def _of_link(prompt: Any, name: str, wanted: Any, value: list[Any]) -> list[dict[str, Any]]:
    returns = KINDS[prompt[value[0]]["class_type"]].returns
    if value[1] >= len(returns):
        trace = {"exception_type": "IndexError", "traceback": ['  File "/srv/ComfyUI/execution.py", line 601\n']}
        return [_of_input("exception_during_validation", "Exception when validating node", "list index", name, **trace)]
    if wanted not in ("*", returns[value[1]]):
        words = f"{name}, received_type({returns[value[1]]}) mismatch input_type({wanted})"
        return [_of_input("return_type_mismatch", "Return type mismatch between linked nodes", words, name)]
    return []


def _of_value(
    kind: NodeKind, name: str, wanted: Any, limits: Mapping[str, Any], value: Any, exists: Callable[[str], bool]
) -> list[dict[str, Any]]:
    given = {"input_config": [wanted, dict(limits)], "received_value": value}
    if isinstance(wanted, list):
        if value not in wanted:
            return [
                _of_input("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {wanted}", name, **given)
            ]
        return []
    if name == kind.file_input and not exists(value):
        words = f"{name} - Invalid image file: {value}"
        return [_of_input("custom_validation_failed", "Custom validation failed for node", words, name)]
    try:
        read = _READERS.get(wanted, lambda each: each)(value)
    except (TypeError, ValueError) as error:
        words = f"Failed to convert an input value to a {wanted} value"
        return [_of_input("invalid_input_type", words, f"{name}, {value}, {error}", name, **given)]
    if "min" in limits and read < limits["min"]:
        return [
            _of_input(
                "value_smaller_than_min", f"Value {read} smaller than min of {limits['min']}", name, name, **given
            )
        ]
    if "max" in limits and read > limits["max"]:
        return [
            _of_input("value_bigger_than_max", f"Value {read} bigger than max of {limits['max']}", name, name, **given)
        ]
    return []
