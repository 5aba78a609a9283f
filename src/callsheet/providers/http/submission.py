"""Outcome of a submission: accepted, certainly not accepted, or unknown.

A wrong "not accepted" makes the engine submit again and pay twice. Every doubt is therefore SubmissionUnknown.
"""

from typing import Any

import httpx2

from callsheet.domain.errors import ProviderRateLimited, SubmissionRejected, SubmissionUnknown
from callsheet.providers.http.json_fields import text
from callsheet.providers.http.redaction import MAX_MESSAGE, redact_message, sanitize
from callsheet.providers.http.response import ProviderResponse, requested_delay

RATE_LIMITED = frozenset({425, 429})
_NOT_NOW = RATE_LIMITED | {409}
_AMBIGUOUS = frozenset({302, 303, 408, 499})
"""Statuses that a server can send before or after it accepted a submission: see other, timeout, client closed request;
and every 5xx. Many servers send 302 instead of 303.
"""
NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.ProxyError,
)
"""Errors before the first byte of the request is sent: certainly nothing was submitted."""


def check_accepted(provider: str, response: ProviderResponse, task_id_path: tuple[str, ...]) -> ProviderResponse:
    """Return the response of an accepted submission.

    Raises SubmissionRejected and ProviderRateLimited when it was certainly not accepted, SubmissionUnknown when the
    provider failed while it had the submission, or when an error response contains a task id.
    """
    if response.status in _NOT_NOW:
        raise_if_task_named(provider, response, *task_id_path)
    if response.status in RATE_LIMITED:
        raise rate_limited(provider, response)
    if response.status in _AMBIGUOUS or response.status >= 500:
        raise unknown_submission(provider, f"the response was {response.status}", status=response.status)
    if not response.ok:
        raise SubmissionRejected(f"{provider} rejected the submission: {sanitize(response)}", status=response.status)
    return response


def raise_if_task_named(provider: str, response: ProviderResponse, *task_id_path: str) -> None:
    """Raise SubmissionUnknown for an error response that contains a task id: the task was perhaps created."""
    task_id = text(response.at(*task_id_path))
    if task_id is not None:
        reason = (
            f"the response was {sanitize(response)}, but it contains a task id: {redact_message(task_id)[:MAX_MESSAGE]}"
        )
        raise unknown_submission(provider, reason, status=response.status)


def rate_limited(provider: str, response: ProviderResponse) -> ProviderRateLimited:
    """Return the error for a rate limit, with the delay that the provider requests."""
    message = f"{provider} rate limit reached: {sanitize(response)}"
    return ProviderRateLimited(message, retry_after=requested_delay(response.headers))


def unknown_submission(provider: str, reason: str, **facts: Any) -> SubmissionUnknown:
    """Return the error for a submission that was sent and whose outcome is unknown."""
    return SubmissionUnknown(f"A submission was sent to {provider}, and {reason}.", provider=provider, **facts)
