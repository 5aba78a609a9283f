"""Properties of all routes."""

import inspect

import pytest
from fastapi.routing import APIRoute

from callsheet.api import app
from callsheet.console import ROUTERS

ROUTES = [
    route
    for router in (*(module.router for module in app.ROUTE_MODULES), *ROUTERS)
    for route in router.routes
    if isinstance(route, APIRoute)
]


def callables(dependant):
    yield dependant.call
    for needed in dependant.dependencies:
        yield from callables(needed)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{'-'.join(route.methods)} {route.path}")
def test_no_route_runs_in_a_thread(route):
    assert [call for call in callables(route.dependant) if not inspect.iscoroutinefunction(call)] == []
