"""Error responses: every exception becomes a problem document, an OpenAI error or an HTML page."""

import secrets
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from callsheet.api.openai_errors import is_openai_path, openai_error
from callsheet.api.problems import MEDIA_TYPE, ProblemDocument, ProblemItem, problem_type, title_of
from callsheet.console.rendering import PAGE_HEADERS, render_problem
from callsheet.db.outages import DATABASE_UNAVAILABLE, outage_details, outage_reason
from callsheet.domain.error_codes import listed_problem_code
from callsheet.domain.errors import (
    BadInput,
    CallsheetError,
    DatabaseUnavailable,
    DiskFull,
    MissingScope,
    NotFound,
    Problem,
    ProblemList,
    RangeNotSatisfiable,
    Transient,
    Unauthorized,
)
from callsheet.domain.validation_messages import plain_message
from callsheet.files.atomic_write import DISK_FULL_ERRNOS

log = structlog.get_logger(__name__)

_RETRY_AFTER = "2"
"""Retry-After of a transient failure that names no time, in seconds."""
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_NOT_FOUND = "There is no resource at this path."


class ApiError(HTTPException):
    """A request that the API rejects with a status and a code of its own."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(status, detail)
        self.code = code
        self.retry_after = retry_after
        """Seconds."""


def install_error_handlers(app: FastAPI) -> None:
    """Render all errors of an app with `render_error`."""

    async def handle(request: Request, error: Exception) -> Response:
        return render_error(request.scope, error)

    for kind in (CallsheetError, HTTPException, RequestValidationError, OSError, *DATABASE_UNAVAILABLE):
        app.add_exception_handler(kind, handle)


def render_error(scope: Scope, error: Exception) -> Response:
    """Return the response to an error. An unexpected error is logged and becomes a 500 with an incident id."""
    document = _document(error, request_id(scope))
    headers = _headers(error, document.status)
    if is_openai_path(scope["path"]):
        status, body = openai_error(document)
        return Response(body, status, headers, "application/json")
    if _is_page_request(scope):
        page = render_problem(document.model_dump())
        return Response(page, document.status, {**PAGE_HEADERS, **headers}, "text/html; charset=utf-8")
    return Response(document.model_dump_json(), document.status, headers, MEDIA_TYPE)


def request_id(scope: Scope) -> str:
    """Return the id of a request, as in X-Request-ID and in the log."""
    return str(scope.get("state", {}).get("request_id", ""))


def _document(error: Exception, instance: str) -> ProblemDocument:
    if isinstance(error, CallsheetError):
        return _callsheet_document(error, instance)
    if isinstance(error, RequestValidationError):
        return _validation_document(error, instance)
    if isinstance(error, HTTPException):
        code = getattr(error, "code", None) or _HTTP_CODES.get(error.status_code, "bad_request")
        phrase = HTTPStatus(error.status_code).phrase
        detail = _NOT_FOUND if error.detail == HTTPStatus.NOT_FOUND.phrase else error.detail
        return _problem(error.status_code, code, phrase, detail, instance)
    if isinstance(error, DATABASE_UNAVAILABLE):
        log.warning("database unavailable", error=outage_details(error), request_id=instance)
        detail = f"{outage_reason(error)} No data is lost; retry in a moment."
        return _problem(503, DatabaseUnavailable.code, title_of(DatabaseUnavailable), detail, instance)
    if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
        log.error("the disk is full", error=str(error), request_id=instance)
        detail = "There is no space left on a disk of the server. Retry when its operator has made room."
        return _problem(503, DiskFull.code, title_of(DiskFull), detail, instance)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        # Only the JSON of a client brings such texts in, as `\\ud800`.
        return _problem(422, "bad_input", title_of(BadInput), "A text has half of a surrogate pair.", instance)
    return _internal_document(error, instance)


def _callsheet_document(error: CallsheetError, instance: str) -> ProblemDocument:
    status = 503 if isinstance(error, Transient) else error.status
    if status >= 500:
        log.warning("request failed", code=error.code, detail=error.message, request_id=instance)
    errors = [_item(p) for p in error.problems] if isinstance(error, ProblemList) else []
    kind = BadInput if type(error) is ProblemList else type(error)
    return _problem(status, error.code, title_of(kind), error.message, instance, errors)


def _item(problem: Problem) -> ProblemItem:
    return ProblemItem(path=problem.path, code=listed_problem_code(problem.code), message=problem.message)


def _validation_document(error: RequestValidationError, instance: str) -> ProblemDocument:
    """Describe invalid path, query, headers or body. The values are left out: they may be secrets."""
    items = error.errors()
    if any(item["loc"][0] == "path" for item in items):
        return _problem(404, NotFound.code, title_of(NotFound), _NOT_FOUND, instance)
    errors = [
        ProblemItem(path=_path(item["loc"][1:]), code=item["type"], message=plain_message(item)) for item in items
    ]
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return _problem(422, "bad_input", title_of(BadInput), f"{count} in the request", instance, errors)


def _path(loc: Sequence[str | int]) -> str:
    def parts() -> Iterator[str]:
        for step in loc:
            yield f"[{step}]" if isinstance(step, int) else f".{step}"

    return "".join(parts()).lstrip(".")


def _internal_document(error: Exception, instance: str) -> ProblemDocument:
    incident = secrets.token_hex(6)
    log.error("unexpected error", incident=incident, request_id=instance, exc_info=error)
    detail = f"The server failed unexpectedly. Its log has the details under incident {incident}."
    return _problem(500, "internal_error", "Internal Server Error", detail, instance)


def _problem(
    status: int, code: str, title: str, detail: str, instance: str, errors: list[ProblemItem] | None = None
) -> ProblemDocument:
    return ProblemDocument(
        type=problem_type(code),
        title=title,
        status=status,
        detail=_encodable(detail),
        instance=instance,
        code=code,
        errors=[
            ProblemItem(path=_encodable(each.path), code=each.code, message=_encodable(each.message))
            for each in errors or []
        ],
    )


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON of a client can contain and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def _headers(error: Exception, status: int) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"} | dict(getattr(error, "headers", None) or {})
    if status in (429, 503):
        retry_after: Any = getattr(error, "retry_after", None)
        headers["Retry-After"] = str(int(retry_after)) if retry_after else _RETRY_AFTER
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="callsheet"'
    if isinstance(error, MissingScope):
        headers["WWW-Authenticate"] = (
            f'Bearer realm="callsheet", error="insufficient_scope", scope="{" ".join(error.scopes)}"'
        )
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.facts['size']}"
    return headers


def _is_page_request(scope: Scope) -> bool:
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accept and not scope["path"].startswith("/api/")
