"""The shape of every error answer: a problem document (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from pydantic import Field

from callsheet.domain.errors import CallsheetError
from callsheet.domain.model import Model

MEDIA_TYPE = "application/problem+json"


class ProblemItem(Model):
    """One thing that is wrong with a request."""

    path: str = Field(description="The field, as the client wrote it", examples=["executionPlan.jobs[0].operation"])
    code: str = Field(description="Stable; programs may branch on it", examples=["unknown_operation"])
    message: str = Field(examples=["unknown operation 'rendr', did you mean 'render'?"])


class ProblemDocument(Model):
    """Why a request was not done (RFC 9457)."""

    type: str = Field(examples=["urn:callsheet:problem:not_found"])
    title: str = Field(description="The same for every problem of this type")
    status: int
    detail: str = Field(description="What happened this time")
    instance: str = Field(description="Id of the request; also sent as X-Request-ID and written to the log")
    code: str = Field(description="Stable; programs may branch on it", examples=["not_found"])
    errors: list[ProblemItem] = Field(default_factory=list, description="Every single thing that is wrong")


def problem_type(code: str) -> str:
    """Return the URI that names a kind of problem."""
    return f"urn:callsheet:problem:{code}"


def title_of(error: type[CallsheetError]) -> str:
    """Return what is the same for all errors of a class: the first line of its docstring."""
    return (error.__doc__ or "").strip().splitlines()[0].rstrip(".")


_EXAMPLES: dict[int, tuple[str, str, str, list[dict[str, str]]]] = {
    400: ("bad_request", "The request cannot be read", "The cursor is not one that this server gave out.", []),
    401: ("unauthorized", "A valid API key is needed", "Send it as `Authorization: Bearer …`.", []),
    403: ("forbidden", "The request came from somewhere it must not come from", "The Host header is foreign.", []),
    404: ("not_found", "There is no such thing", "There is no execution 019ab1f0-0000-7000-8000-000000000000.", []),
    409: (
        "invalid_state",
        "That is not allowed in the present status",
        "The execution has succeeded; it cannot be cancelled any more.",
        [],
    ),
    413: ("too_large", "The request is larger than this server accepts", "At most 16,777,216 bytes are read.", []),
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
    503: (
        "database_unavailable",
        "The database does not answer",
        "The database does not answer. Nothing is lost; try again in a moment.",
        [],
    ),
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of a route's problem answers."""
    return {status: _answer(status) for status in sorted({*statuses, 401, 403, 503})}


def _answer(status: int) -> dict[str, Any]:
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
