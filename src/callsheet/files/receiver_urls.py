"""Validation of the URLs of receivers: callback URLs and endpoints."""

import re
from urllib.parse import urlsplit

from callsheet.domain.errors import Problem
from callsheet.files.ssrf_guard import is_public_host
from callsheet.settings import Settings

_HOST = re.compile(r"[\w.:%-]{1,253}")


def callback_problems(url: str | None, settings: Settings, *, field: str = "callbackUrl") -> list[Problem]:
    """Return the problems of the URL of a receiver; empty for a valid one. `field` is its name in the request.

    Host names are not resolved here. The SSRF guard checks their addresses when a webhook is sent.
    """
    if url is None:
        return []
    try:
        parts = urlsplit(url)
        host, scheme, port = parts.hostname or "", parts.scheme, parts.port
    except ValueError:
        return [Problem(field, "bad_url", "is not a valid URL")]
    problems = []
    if scheme not in {"https", "http"} or not host:
        problems.append(Problem(field, "bad_url", "must be a URL that starts with https://"))
    elif port == 0 or not _HOST.fullmatch(host) or " " in url:
        problems.append(Problem(field, "bad_url", "has a host, a port or characters that no URL can have"))
    elif scheme == "http" and not (settings.allow_http or settings.allow_private_addresses):
        problems.append(
            Problem(field, "not_https", "must start with https:// (set CALLSHEET_ALLOW_HTTP to allow http://)")
        )
    if parts.username is not None or parts.password is not None:
        problems.append(Problem(field, "credentials_in_url", "must not contain a user name or a password"))
    if parts.fragment:
        problems.append(Problem(field, "bad_url", "must not have a fragment (#…), which no server receives"))
    if host and not is_public_host(host) and not settings.allow_private_addresses:
        message = "must not lead to a private address (set CALLSHEET_ALLOW_PRIVATE_ADDRESSES to allow it)"
        problems.append(Problem(field, "private_address", message))
    return problems
