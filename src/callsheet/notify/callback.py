"""Validation of callback URLs."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from callsheet.domain.errors import Problem
from callsheet.files.ssrf_guard import is_public
from callsheet.settings import Settings

_FIELD = "callbackUrl"


def callback_problems(url: str | None, settings: Settings) -> list[Problem]:
    """Return the problems of a callback URL; empty for a valid one.

    Host names are not resolved here. The SSRF guard checks their addresses when a webhook is sent.
    """
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        host, scheme, _ = parts.hostname or "", parts.scheme, parts.port
    except ValueError:
        return [Problem(_FIELD, "bad_url", "is not a valid URL")]
    problems = []
    if scheme not in {"https", "http"} or not host:
        problems.append(Problem(_FIELD, "bad_url", "must be a URL that starts with https://"))
    elif scheme == "http" and not (settings.allow_http or settings.allow_private_addresses):
        problems.append(
            Problem(_FIELD, "not_https", "must start with https:// (set CALLSHEET_ALLOW_HTTP to allow http://)")
        )
    if parts.username is not None or parts.password is not None:
        problems.append(Problem(_FIELD, "credentials_in_url", "must not contain a user name or a password"))
    if _is_private_literal(host) and not settings.allow_private_addresses:
        message = "must not lead to a private address (set CALLSHEET_ALLOW_PRIVATE_ADDRESSES to allow it)"
        problems.append(Problem(_FIELD, "private_address", message))
    return problems


def _is_private_literal(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)
