"""Errors of a client: the server's problem documents as exceptions."""

from typing import Any

import orjson

from callsheet.domain.errors import (
    BadInput,
    BadParams,
    BadSource,
    BudgetExceeded,
    CallsheetError,
    Conflict,
    DigestMismatch,
    IdempotencyConflict,
    InvalidState,
    MissingScope,
    NotFound,
    OffsetConflict,
    PlanRefused,
    Problem,
    ProblemList,
    QuotaExceeded,
    RangeNotSatisfiable,
    TooLarge,
    Unauthorized,
)

_TEMPORARY = {408, 429, 502, 503, 504}
_CLASSES: tuple[type[CallsheetError], ...] = (
    BadInput,
    BadParams,
    BadSource,
    BudgetExceeded,
    Conflict,
    DigestMismatch,
    IdempotencyConflict,
    InvalidState,
    MissingScope,
    NotFound,
    OffsetConflict,
    PlanRefused,
    QuotaExceeded,
    RangeNotSatisfiable,
    TooLarge,
    Unauthorized,
)
_BY_CODE = {kind.code: kind for kind in _CLASSES}


class Unreachable(CallsheetError):
    """The server is unreachable."""

    code = "unreachable"
    status = 503


class WaitTimeout(CallsheetError):
    """The time to wait for an execution is over; the execution continues."""

    code = "timed_out_waiting"


class DamagedDownload(CallsheetError):
    """A downloaded file has another SHA-256 than its artifact."""

    code = "damaged_download"


class RequestFailed(CallsheetError):
    """The server did not fulfil the request, for a reason that has no error class.

    `code` is that of the problem document, or `http_error` without one; `http_status` is the status of the response.
    """

    def __init__(self, message: str, *, code: str, http_status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.retry_after = retry_after
        """Seconds until a repetition makes sense, if the server names them."""


def is_temporary(error: CallsheetError) -> bool:
    """Return whether the same request may succeed in a moment: there was no response, or the server is busy."""
    return isinstance(error, Unreachable) or (isinstance(error, RequestFailed) and error.http_status in _TEMPORARY)


def error_of_response(status: int, content: bytes, *, retry_after: str | None = None) -> CallsheetError:
    """Return the exception for an error response: the class of its code, with its message and all its problems."""
    document = _read_object(content)
    code = str(document.get("code") or "http_error")
    message = str(document.get("detail") or document.get("title") or f"The server responded with status {status}.")
    problems = [_problem(each) for each in document.get("errors") or () if isinstance(each, dict)]
    kind = _BY_CODE.get(code)
    if kind is not None and issubclass(kind, ProblemList):
        return kind(problems, message)
    if problems:
        return ProblemList(problems, message)
    if kind is not None:
        return kind(message)
    seconds = float(retry_after) if retry_after is not None and retry_after.isdigit() else None
    return RequestFailed(message, code=code, http_status=status, retry_after=seconds)


def _read_object(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:  # such as the page of a proxy
        return {}
    return document if isinstance(document, dict) else {}


def _problem(item: dict[str, Any]) -> Problem:
    return Problem(str(item.get("path") or ""), str(item.get("code") or ""), str(item.get("message") or ""))
