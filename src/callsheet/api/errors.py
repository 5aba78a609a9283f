"""The one renderer of errors."""

import secrets
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from callsheet.api.openai_errors import openai_error, speaks_openai
from callsheet.api.problems import MEDIA_TYPE, ProblemDocument, ProblemItem, problem_type, title_of
from callsheet.console.rendering import problem_page
from callsheet.db.database import TRANSIENT_ERRORS
from callsheet.domain.errors import (
    BadInput,
    CallsheetError,
    NotFound,
    ProblemList,
    RangeNotSatisfiable,
    Transient,
    Unauthorized,
)

log = structlog.get_logger(__name__)

_PASSES = "2"
"""Seconds to wait before trying again what failed for a passing reason."""
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_NOWHERE = "There is nothing under this address."
_AWAY = "The database does not answer. Nothing is lost; try again in a moment."


class ApiError(HTTPException):
    """A request that is refused before any of our own errors can arise, with its own code."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail)
        self.code = code


def install(app: FastAPI) -> None:
    """Have every error of an app rendered here."""

    async def handle(request: Request, error: Exception) -> Response:
        return render(request.scope, error)

    for kind in (CallsheetError, HTTPException, RequestValidationError, *TRANSIENT_ERRORS):
        app.add_exception_handler(kind, handle)


def render(scope: Scope, error: Exception) -> Response:
    """Return the answer that tells of an error; one that nobody foresaw is logged, and told as our fault."""
    document = _document(error, request_id(scope))
    headers = _headers(error, document.status)
    if speaks_openai(scope["path"]):
        status, body = openai_error(document)
        return Response(body, status, headers, "application/json")
    if _wants_page(scope):
        return Response(problem_page(document.model_dump()), document.status, headers, "text/html; charset=utf-8")
    return Response(document.model_dump_json(), document.status, headers, MEDIA_TYPE)


def request_id(scope: Scope) -> str:
    """Return the id under which the log knows this request."""
    return str(scope.get("state", {}).get("request_id", ""))


def _document(error: Exception, instance: str) -> ProblemDocument:
    if isinstance(error, CallsheetError):
        return _of_ours(error, instance)
    if isinstance(error, RequestValidationError):
        return _of_validation(error, instance)
    if isinstance(error, HTTPException):
        code = getattr(error, "code", None) or _HTTP_CODES.get(error.status_code, "bad_request")
        phrase = HTTPStatus(error.status_code).phrase
        detail = _NOWHERE if error.detail == HTTPStatus.NOT_FOUND.phrase else error.detail
        return _problem(error.status_code, code, phrase, detail, instance)
    if isinstance(error, TRANSIENT_ERRORS):
        log.warning("database away", error=type(error).__name__, request=instance)
        return _problem(503, "database_unavailable", "The database does not answer", _AWAY, instance)
    return _incident(error, instance)


def _of_ours(error: CallsheetError, instance: str) -> ProblemDocument:
    status = 503 if isinstance(error, Transient) else error.status
    if status >= 500:
        log.warning("request failed", code=error.code, detail=error.message, request=instance)
    errors = [ProblemItem(**p.as_dict()) for p in error.problems] if isinstance(error, ProblemList) else []
    kind = BadInput if type(error) is ProblemList else type(error)
    return _problem(status, error.code, title_of(kind), error.message, instance, errors)


def _of_validation(error: RequestValidationError, instance: str) -> ProblemDocument:
    """Tell what is wrong with path, query, header or body; what was sent is not repeated, it may hold a secret."""
    faults = error.errors()
    if any(fault["loc"][0] == "path" for fault in faults):
        return _problem(404, NotFound.code, title_of(NotFound), _NOWHERE, instance)
    errors = [
        ProblemItem(path=_path(fault["loc"][1:]), code=fault["type"], message=_message(fault["msg"]))
        for fault in faults
    ]
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return _problem(422, "bad_input", title_of(BadInput), f"{count} in the request", instance, errors)


def _message(text: str) -> str:
    plain = text.removeprefix("Value error, ")
    return plain[:1].lower() + plain[1:]


def _path(loc: Sequence[str | int]) -> str:
    def parts() -> Iterator[str]:
        for step in loc:
            yield f"[{step}]" if isinstance(step, int) else f".{step}"

    return "".join(parts()).lstrip(".")


def _incident(error: Exception, instance: str) -> ProblemDocument:
    incident = secrets.token_hex(6)
    log.error("unforeseen error", incident=incident, request=instance, exc_info=error)
    detail = f"This is a fault of the server, not of the request. Its log tells more under incident {incident}."
    return _problem(500, "internal_error", "Internal Server Error", detail, instance)


def _problem(
    status: int, code: str, title: str, detail: str, instance: str, errors: list[ProblemItem] | None = None
) -> ProblemDocument:
    return ProblemDocument(
        type=problem_type(code),
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        errors=errors or [],
    )


def _headers(error: Exception, status: int) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"} | dict(getattr(error, "headers", None) or {})
    if status == 503:
        after: Any = getattr(error, "after", None)
        headers["Retry-After"] = str(int(after)) if after else _PASSES
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="callsheet"'
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.facts['size']}"
    return headers


def _wants_page(scope: Scope) -> bool:
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accept and not scope["path"].startswith("/api/")
