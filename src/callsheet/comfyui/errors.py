"""Conversion of ComfyUI's validation and execution errors, naming the node and the input."""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from callsheet.comfyui.parsing import sanitize_text
from callsheet.domain.errors import BadParams, Problem, ProviderFailed, Unauthorized

log = structlog.get_logger(__name__)


class AccessDenied(ProviderFailed):
    """A server, or a proxy in front of it, rejects the credentials. It fails at once: time does not help."""

    code = Unauthorized.code


_DETAILS = {
    "prompt_no_outputs": "no result would be saved: there is no working node such as SaveImage or SaveVideo",
    "prompt_outputs_failed_validation": "the nodes do not fit together; they may form a cycle",
}
"""Explanations of error types that ComfyUI sends without details."""
_MEMORY_ERRORS = ("OutOfMemoryError", "out of memory")


def rejection_error(response: Mapping[str, Any]) -> BadParams:
    """Return the error for a rejected prompt, with one problem for every node and input that ComfyUI names."""
    problems = list(_node_problems(response.get("node_errors")))
    if not problems:
        problems = [_prompt_problem(response.get("error"))]
    return BadParams(problems, f"ComfyUI rejected the workflow: {problems[0]!r}")


def _node_problems(errors: Any) -> Iterator[Problem]:
    for node, details in errors.items() if isinstance(errors, dict) else ():
        class_type = details.get("class_type", "a node")
        for error in details.get("errors") or ():
            extra = error.get("extra_info") or {}
            name = extra.get("input_name")
            path = f"graph.{node}.{name}" if name else f"graph.{node}"
            reason = _join(error.get("message"), error.get("details"))
            yield Problem(path, str(error.get("type") or "rejected"), f"{class_type}: {reason}")


def _prompt_problem(error: Any) -> Problem:
    details = error if isinstance(error, dict) else {"message": error}
    code = str(details.get("type") or "rejected")
    extra = details.get("extra_info") or {}
    path = f"graph.{extra['node_id']}" if extra.get("node_id") else "graph"
    message = _join(details.get("message"), details.get("details") or _DETAILS.get(code))
    class_type = extra.get("class_type")
    # ComfyUI names a node by its title; what has to be installed is its class.
    named = f"{sanitize_text(class_type)}: {message}" if class_type and str(class_type) not in message else message
    return Problem(path, code, named)


def _join(message: Any, details: Any) -> str:
    parts = [sanitize_text(part).rstrip(".: ") for part in (message, details) if part]
    return ": ".join(parts) or "rejected"


def execution_error(entry: Mapping[str, Any]) -> ProviderFailed | None:
    """Return the error of a prompt from its history entry; None when it succeeded."""
    status = entry.get("status") or {}
    name, data = _last_message(status)
    # ComfyUI gives an interrupted prompt the status "error", too; only the last message differs.
    if name == "execution_interrupted":
        return ProviderFailed(
            f"The prompt was interrupted on the ComfyUI server, at {_describe_node(data)}.", code="interrupted"
        )
    if status.get("status_str") == "success":
        return None
    if name != "execution_error":
        return ProviderFailed("The prompt failed on the ComfyUI server, which reports no reason.", code="node_failed")
    return _node_failure(data)


def _last_message(status: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    messages = status.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, list) or len(last) < 2 or not isinstance(last[1], dict):
        return "", {}
    return str(last[0]), last[1]


def _node_failure(data: Mapping[str, Any]) -> ProviderFailed:
    kind = str(data.get("exception_type") or "error")
    message = sanitize_text(data.get("exception_message") or kind)
    log.warning("a ComfyUI node failed", node=data.get("node_id"), trace="".join(map(str, data.get("traceback") or ())))
    out_of_memory = any(sign in kind or sign in message for sign in _MEMORY_ERRORS)
    return ProviderFailed(
        f"In {_describe_node(data)}: {message} ({kind.rpartition('.')[2]})",
        code="out_of_memory" if out_of_memory else "node_failed",
        node=data.get("node_id"),
        node_type=data.get("node_type"),
        exception=kind,
    )


def _describe_node(data: Mapping[str, Any]) -> str:
    return f"node {data.get('node_id')} ({data.get('node_type')})"


def is_blocked(data: Mapping[str, Any]) -> bool:
    """Whether an `execution_error` only reports a blocked branch. The other branches of the prompt continue."""
    return data.get("exception_type") == "ExecutionBlocked"
