"""Rejection of unknown query parameters: a misspelled filter must not return everything."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import Problem, ProblemList

OPEN_PREFIXES = ("/api/webhooks/", "/health", "/readyz", "/metrics")
"""Paths whose callers add parameters of their own: providers and monitoring."""


async def reject_unknown_query(request: Request) -> None:
    """Raise ProblemList for each query parameter that the route does not have. A dependency of routes."""
    if not request.scope["query_string"]:
        return
    route = request.scope["route"]
    if not isinstance(route, APIRoute) or request.url.path.startswith(OPEN_PREFIXES):
        return
    known = list(_query_names(route.dependant))
    problems = [
        Problem(name, "unknown_parameter", f"unknown query parameter{_hint(name, known)}")
        for name in request.query_params
        if name not in known
    ]
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ProblemList(problems, f"{count} in the request")


def _query_names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            # One model for all parameters of the route.
            yield from (each.alias or name for name, each in model.model_fields.items())
        else:
            yield field.alias
    for inner in dependant.dependencies:
        yield from _query_names(inner)


def _hint(name: str, known: list[str]) -> str:
    return did_you_mean(name, known) or (f"; known: {', '.join(known)}" if known else "; the route has none")
