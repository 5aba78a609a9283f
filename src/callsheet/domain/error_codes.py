"""All error codes: closed lists, also in the API description."""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args

from pydantic import WithJsonSchema
from pydantic_core.core_schema import ErrorType

from callsheet.domain.errors import SQL_ERROR_CODES, CallsheetError, JobError
from callsheet.domain.problem_codes import PROBLEM_CODES

HTTP_ERROR_CODES: dict[str, str] = {
    "bad_cursor": "The cursor of a list is invalid.",
    "bad_request": "The request cannot be read.",
    "body_timeout": "The body arrived too slowly.",
    "cross_site": "The request comes from a page of another site.",
    "database_not_ready": "The readiness check of the database failed.",
    "disconnected": "The client closed the connection during an upload, which can continue.",
    "foreign_host": "The Host header is not allowed.",
    "headers_too_long": "The headers exceed their size limit.",
    "method_not_allowed": "The path does not support the method.",
    "overloaded": "The server has too many requests in progress.",
    "rate_limited": "The API key sends more requests than it may.",
    "storage_not_ready": "The readiness check of the storage failed.",
    "too_slow": "No data of an upload arrived for some time.",
    "unsupported_media_type": "The media type of the body is not supported.",
    "url_too_long": "The path or the query of the URL exceeds its size limit.",
    "video_not_ready": "The video is not finished.",
    "worker_not_ready": "The worker process of `callsheet up` dies again and again.",
}
"""Code of a response for which no error class exists → meaning."""

PROVIDER_FAILURE_CODES: dict[str, str] = {
    "budget_exhausted": "The account at the provider has no credit left.",
    "content_refused": "The provider's moderation refused the content.",
    "deadline": "The task exceeded the deadline.",
    "empty_file": "An output file of the task is empty.",
    "foreign_host": "The provider returned a URL of a host that is not its own.",
    "interrupted": "The task was interrupted at the provider.",
    "no_output": "The task succeeded without an output.",
    "node_failed": "A node of the workflow failed.",
    "out_of_memory": "The provider had too little memory for the task.",
    "task_cancelled": "The task was cancelled at the provider.",
    "task_lost": "The provider no longer knows the task.",
    "wrong_frame_count": "The workflow returned more or fewer frames than it got.",
}
"""Code of a failed provider task, besides `provider_failed` → meaning."""


def request_error_codes() -> list[Any]:
    """Return the codes of all error responses, sorted."""
    return sorted({*_class_codes(CallsheetError), *HTTP_ERROR_CODES})


def job_error_codes() -> list[Any]:
    """Return the codes that jobs fail with, sorted. A code of another operation is a `customCode` besides."""
    return sorted(
        {*_class_codes(CallsheetError), *_class_codes(JobError), *SQL_ERROR_CODES, *PROVIDER_FAILURE_CODES, "failed"}
    )


def problem_codes() -> list[Any]:
    """Return the codes of all problems of a request, sorted."""
    return sorted({*PROBLEM_CODES, *get_args(ErrorType)})


def _class_codes(error: type[CallsheetError]) -> Iterator[str]:
    yield error.code
    for below in error.__subclasses__():
        if below.__module__ == CallsheetError.__module__:
            yield from _class_codes(below)


RequestErrorCode: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "enum": request_error_codes()})]
JobErrorCode: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "enum": job_error_codes()})]
ProblemCode: TypeAlias = Annotated[str, WithJsonSchema({"type": "string", "enum": problem_codes()})]


def listed_job_code(error: BaseException, code: str) -> str:
    """Return `code` if it is listed, otherwise the listed code of the nearest class of the error."""
    known = _known_job_codes()
    by_class = (getattr(kind, "code", None) for kind in type(error).__mro__)
    return next(each for each in (code, *by_class, "failed") if each in known)


def listed_problem_code(code: str) -> str:
    """Return `code` if it is listed, otherwise `invalid_value`: other operations and ComfyUI have more codes."""
    return code if code in _known_problem_codes() else "invalid_value"


@cache
def _known_job_codes() -> frozenset[str]:
    return frozenset(job_error_codes())


@cache
def _known_problem_codes() -> frozenset[str]:
    return frozenset(problem_codes())
