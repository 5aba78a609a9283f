"""Answers plain submissions before the router, whose work for a request takes longer than that for a small plan."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from callsheet.api.executions import submit_plan

_PATHS = frozenset({"/api/executions", "/api/execute"})


class SubmissionMiddleware:
    """Calls the route of submissions itself, for requests in which the router has nothing to check.

    These are requests without query and without `Idempotency-Key`. It must be the last middleware: the others
    authenticate requests and limit them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a plain submission; pass every other request on."""
        if _is_plain_submission(scope):
            response = await submit_plan(Request(scope, receive), None)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_plain_submission(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["path"] in _PATHS
        and scope["method"] == "POST"
        and not scope["query_string"]
        and all(name != b"idempotency-key" for name, _ in scope["headers"])
    )
