"""All error codes, for closed lists in the API description."""

from collections.abc import Iterator
from typing import Any, get_args

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
    "storage_not_ready": "The readiness check of the storage failed.",
    "too_slow": "No data of an upload arrived for some time.",
    "unsupported_media_type": "The media type of the body is not supported.",
    "url_too_long": "The path or the query of the URL exceeds its size limit.",
    "video_not_ready": "The video is not finished.",
}
"""Code of a response for which no error class exists → meaning."""

PROVIDER_FAILURE_CODES: dict[str, str] = {
    "budget_exhausted": "The account at the provider has no credit left.",
    "content_refused": "The provider's moderation refused the content.",
    "deadline": "The task exceeded the deadline.",
    "task_cancelled": "The task was cancelled at the provider.",
    "task_lost": "The provider no longer knows the task.",
}
"""Code of a failed provider task, besides `provider_failed` → meaning."""


def request_error_codes() -> list[Any]:
    """Return the codes of all error responses, sorted."""
    return sorted({*_class_codes(CallsheetError), *HTTP_ERROR_CODES})


def job_error_codes() -> list[Any]:
    """Return the codes that jobs of the built-in operations fail with, sorted. Other operations may have more."""
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
