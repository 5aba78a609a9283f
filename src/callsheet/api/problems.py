"""The body of error responses: problem documents (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from pydantic import Field

from callsheet.domain.error_codes import ProblemCode, RequestErrorCode
from callsheet.domain.errors import CallsheetError, DatabaseUnavailable
from callsheet.domain.model import Model

MEDIA_TYPE = "application/problem+json"


class ProblemItem(Model):
    """One invalid part of a request."""

    path: str = Field(description="Path of the field in the request", examples=["executionPlan.jobs[0].operation"])
    code: ProblemCode = Field(description="Stable code for programs", examples=["unknown_operation"])
    message: str = Field(examples=["unknown operation 'rendr', did you mean 'render'?"])


class ProblemDocument(Model):
    """Why a request failed (RFC 9457)."""

    type: str = Field(examples=["urn:callsheet:problem:not_found"])
    title: str = Field(description="The same for every problem of this type")
    status: int
    detail: str = Field(description="Description of this occurrence")
    instance: str = Field(description="Id of the request, as in the header X-Request-ID and in the log")
    code: RequestErrorCode = Field(description="Stable code for programs", examples=["not_found"])
    errors: list[ProblemItem] = Field(description="The problems of the request, at most 100")


def problem_type(code: str) -> str:
    """Return the URI of a problem type."""
    return f"urn:callsheet:problem:{code}"


def title_of(error: type[CallsheetError]) -> str:
    """Return the title of an error class: the first line of its docstring."""
    return (error.__doc__ or "").strip().splitlines()[0].rstrip(".")


_EXAMPLES: dict[int, tuple[str, str, str, list[dict[str, str]]]] = {
    400: ("bad_request", "The request is invalid", "The cursor is invalid.", []),
    401: ("unauthorized", "A valid API key is needed", "Send it as `Authorization: Bearer …`.", []),
    402: (
        "budget_exceeded",
        "The plan would exceed a monthly budget; nothing was stored",
        "The monthly budget of the API key is $250.00; $248.10 of it are spent or reserved, and the plan is estimated "
        "at $3.20. Nothing was stored or spent.",
        [],
    ),
    403: (
        "missing_scope",
        "The API key or the user has no scope for this",
        "This needs the scope `submit`, which the API key or the user does not have.",
        [],
    ),
    404: ("not_found", "There is no such resource", "There is no execution 019ab1f0-0000-7000-8000-000000000000.", []),
    409: (
        "invalid_state",
        "That is not allowed in the present status",
        "The execution has succeeded; it cannot be cancelled any more.",
        [],
    ),
    408: ("body_timeout", "Request Timeout", "The body of the request arrived too slowly.", []),
    413: (
        "too_large",
        "The request is larger than this server accepts",
        "The body is larger than 16,777,216 bytes.",
        [],
    ),
    414: (
        "url_too_long",
        "URI Too Long",
        "The path of the URL has 60,000 bytes; at most 4,000 are allowed.",
        [],
    ),
    431: (
        "headers_too_long",
        "Request Header Fields Too Large",
        "The headers have 40,000 bytes; at most 32,000 are allowed.",
        [],
    ),
    415: ("unsupported_media_type", "Unsupported Media Type", "Send application/json or application/yaml.", []),
    416: (
        "range_not_satisfiable",
        "The file has no such part",
        "The file has 1000 bytes; the range begins behind its end",
        [],
    ),
    422: (
        "plan_refused",
        "The plan was refused; nothing was stored",
        "The plan was refused; nothing was stored (1 problem)",
        [
            {
                "path": "executionPlan.jobs[0].operation",
                "code": "unknown_operation",
                "message": "unknown operation 'rendr', did you mean 'render'?",
            }
        ],
    ),
    429: (
        "rate_limited",
        "Too Many Requests",
        "The API key 'storefront' may send 600 requests per minute.",
        [],
    ),
    503: (
        "database_unavailable",
        title_of(DatabaseUnavailable),
        "The database does not respond. No data is lost; retry in a moment.",
        [],
    ),
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a route's error responses. 401, 403, 429 and 503 are always among them."""
    return {status: _response(status) for status in sorted({*statuses, 401, 403, 429, 503})}


def _response(status: int) -> dict[str, Any]:
    code, title, detail, errors = _EXAMPLES[status]
    example = ProblemDocument(
        type=problem_type(code),
        title=title,
        status=status,
        detail=detail,
        instance="019ab1f0-5c3e-7a10-9d7e-0f4b3c2d1e00",
        code=code,
        errors=[ProblemItem(**error) for error in errors],
    )
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    content = {MEDIA_TYPE: {"schema": schema, "example": example.model_dump(mode="json")}}
    return {"description": HTTPStatus(status).phrase, "content": content}
