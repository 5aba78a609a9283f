"""Errors in the format of OpenAI, for the paths under `/v1/`."""

import orjson

from callsheet.api.problems import ProblemDocument

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def is_openai_path(path: str) -> bool:
    """Return whether a path belongs to the OpenAI-compatible API."""
    return path.startswith("/v1/")


def openai_error(document: ProblemDocument) -> tuple[int, bytes]:
    """Return the status and the body for a problem document. OpenAI uses 400 where Callsheet uses 422."""
    status = 400 if document.status == 422 else document.status
    first = document.errors[0] if document.errors else None
    error = {
        "message": "; ".join(f"{e.path}: {e.message}" if e.path else e.message for e in document.errors)
        or document.detail,
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": first.path or None if first else None,
        "code": first.code if first else document.code,
    }
    return status, orjson.dumps({"error": error})
