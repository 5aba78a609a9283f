"""Cross-origin requests of web pages, from the origins of the settings (CORS)."""

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from callsheet.settings import Settings

_REQUEST_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "Upload-Offset",
    "X-Request-ID",
]
_RESPONSE_HEADERS = ["Location", "Retry-After", "X-Request-ID", "Idempotent-Replayed"]
_MAX_AGE = 600
"""Seconds for which a browser keeps the answer to a preflight request."""


def cors_middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware that answers other origins; none without origins in the settings.

    It is the first, so that error responses carry its headers, too. Cookies are never accepted from other origins.
    """
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
            allow_credentials=False,
            max_age=_MAX_AGE,
        )
    ]
