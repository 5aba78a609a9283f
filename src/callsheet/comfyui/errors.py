"""Why ComfyUI refuses a prompt or fails at it, in words that name the node."""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from callsheet.comfyui.parsing import sanitize_text
from callsheet.domain.errors import BadParams, Problem, ProviderFailed

log = structlog.get_logger(__name__)

_OF_OUR_OWN = {
    "prompt_no_outputs": "nothing would be kept: there is no node such as SaveImage or SaveVideo that works",
    "prompt_outputs_failed_validation": "the nodes do not fit together; they may form a circle",
}
_MEMORY = ("OutOfMemoryError", "out of memory")


def rejection_message(answer: Mapping[str, Any]) -> BadParams:
    """Say what is wrong with a prompt, from the answer to it: every node and input with its reason."""
    problems = list(_of_nodes(answer.get("node_errors")))
    if not problems:
        problems = [_of_prompt(answer.get("error"))]
    return BadParams(problems, f"ComfyUI refuses the workflow: {problems[0]!r}")


def _of_nodes(errors: Any) -> Iterator[Problem]:
    for node, about in errors.items() if isinstance(errors, dict) else ():
        kind = about.get("class_type", "a node")
        for error in about.get("errors") or ():
            extra = error.get("extra_info") or {}
            name = extra.get("input_name")
            path = f"graph.{node}.{name}" if name else f"graph.{node}"
            reason = _joined(error.get("message"), error.get("details"))
            yield Problem(path, str(error.get("type") or "rejected"), f"{kind}: {reason}")


def _of_prompt(error: Any) -> Problem:
    about = error if isinstance(error, dict) else {"message": error}
    code = str(about.get("type") or "rejected")
    extra = about.get("extra_info") or {}
    path = f"graph.{extra['node_id']}" if extra.get("node_id") else "graph"
    return Problem(path, code, _joined(about.get("message"), about.get("details") or _OF_OUR_OWN.get(code)))


def _joined(message: Any, details: Any) -> str:
    parts = [sanitize_text(part).rstrip(".: ") for part in (message, details) if part]
    return ": ".join(parts) or "rejected"


def execution_error(entry: Mapping[str, Any]) -> ProviderFailed | None:
    """Say why a prompt did not end well, from its entry in the history; None when it did."""
    status = entry.get("status") or {}
    name, data = _last_message(status)
    if name == "execution_interrupted":
        where = _node(data)
        return ProviderFailed(f"The prompt was interrupted on the ComfyUI server, at {where}.", code="interrupted")
    if status.get("status_str") == "success":
        return None
    if name != "execution_error":
        return ProviderFailed("ComfyUI failed at the prompt and does not say why.", code="node_failed")
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
    memory = any(sign in kind or sign in message for sign in _MEMORY)
    return ProviderFailed(
        f"In {_node(data)}: {message} ({kind.rpartition('.')[2]})",
        code="out_of_memory" if memory else "node_failed",
        node=data.get("node_id"),
        node_type=data.get("node_type"),
        exception=kind,
    )


def _node(data: Mapping[str, Any]) -> str:
    return f"node {data.get('node_id')} ({data.get('node_type')})"


def is_blocked(data: Mapping[str, Any]) -> bool:
    """Tell whether an `execution_error` is only a branch that a node has closed: the rest of the prompt goes on."""
    return data.get("exception_type") == "ExecutionBlocked"
