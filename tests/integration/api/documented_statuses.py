"""Every response that a test gets has a status which the OpenAPI document lists for its route."""

import re

_PARAMETER = re.compile(r"\\\{\w+\\\}")


class UndocumentedStatus(AssertionError):
    """A route answered with a status that its description does not list."""


def check_documented(app):
    """Return a response hook for the client of an app. It raises UndocumentedStatus.

    Pages and unknown paths are not in the document, and are not checked. Internal errors are not
    documented either: the tests that cause one expect it.
    """

    async def check(response):
        request = response.request
        method = "GET" if request.method == "HEAD" else request.method
        statuses = _statuses_of(app, method, request.url.path)
        if statuses is not None and response.status_code not in {*statuses, 500}:
            raise UndocumentedStatus(
                f"{method} {request.url.path!r} answered {response.status_code}; documented: {sorted(statuses)}"
            )

    return check


def _statuses_of(app, method, path):
    for pattern, statuses in _routes(app).get(method, ()):
        if pattern.fullmatch(path):
            return statuses
    return None


_documented = {}


def _routes(app):
    # The routes and their statuses are the same for all apps; to describe them takes a moment.
    if not _documented:
        found = {}
        for path, operations in app.openapi()["paths"].items():
            for method, operation in operations.items():
                statuses = {int(status) for status in operation["responses"]}
                found.setdefault(method.upper(), []).append((_pattern(path), statuses))
        # A literal path goes before one with parameters.
        _documented.update({m: sorted(all_, key=lambda each: "[^/" in each[0].pattern) for m, all_ in found.items()})
    return _documented


def _pattern(path):
    # The router takes no line feed at the end of a path.
    return re.compile(_PARAMETER.sub(lambda _: r"[^/\n]+", re.escape(path)))
