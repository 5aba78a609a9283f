"""Aliases of routes: the paths of earlier systems, which their clients still call."""

from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute

ROUTE_ALIASES = {
    ("POST", "/api/execute"): "/api/executions",
    ("GET", "/api/status/{execution_id}"): "/api/executions/{execution_id}",
    ("POST", "/api/webhooks/job/{job_record_id}"): "/api/webhooks/jobs/{job_record_id}",
    ("GET", "/healthz"): "/health",
}
"""Method and path of an alias → path of the canonical route, which has the same method and parameters."""


def alias_router(routers: Iterable[APIRouter]) -> APIRouter:
    """Return a router with all aliases of routes in `routers`. Aliases are left out of the OpenAPI document."""
    canonical = {
        (method, route.path): route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    aliases = APIRouter(include_in_schema=False)
    for (method, path), target in ROUTE_ALIASES.items():
        route = canonical[method, target]
        aliases.add_api_route(
            path,
            route.endpoint,
            methods=[method],
            status_code=route.status_code,
            response_model=route.response_model,
        )
    return aliases
