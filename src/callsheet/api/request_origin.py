"""Protection against requests that another site causes in a browser (CSRF, DNS rebinding)."""

from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from callsheet.api.bind_check import is_loopback
from callsheet.api.errors import ApiError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class RequestOrigin:
    """Checks where requests without a bearer token come from."""

    def __init__(self, public_url: str | None) -> None:
        self._public_host = urlsplit(public_url or "").hostname

    def reject_foreign_host(self, scope: Scope) -> None:
        """Protect a server without keys against DNS rebinding. Raises ApiError with status 403.

        A site that makes its own name resolve to this machine still sends that name in the Host header.
        """
        host, loopback = _host_name(Headers(scope=scope).get("host", ""))
        if not loopback and host != self._public_host:
            raise ApiError(
                403,
                "foreign_host",
                f"The Host header '{host[:100]}' is not allowed; without an API key, only this machine has access.",
            )

    def reject_cross_site(self, scope: Scope) -> None:
        """Raise ApiError with status 403 for a writing request from a page of another site."""
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "")
        same = origin is None or origin.partition("://")[2] == headers.get("host") or self._is_public_origin(origin)
        if scope["method"] not in SAFE_METHODS and (site == "cross-site" or not same):
            raise ApiError(403, "cross_site", "The request comes from a page of another site.")

    def _is_public_origin(self, origin: str) -> bool:
        return self._public_host is not None and _hostname(origin) == self._public_host


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as `[`
        return None


@lru_cache(256)
def _host_name(host_header: str) -> tuple[str, bool]:
    """Return the name in a Host header, and whether it is this machine. Cached: most requests have the same one."""
    host = _hostname("//" + host_header) or ""
    return host, is_loopback(host)
