"""What every route has in common."""

import inspect

import pytest
from fastapi.routing import APIRoute

from callsheet.api import app
from callsheet.console import executions, login, streams

ROUTES = [
    route
    for part in (*app.ROUTE_MODULES, executions, login, streams)
    for route in part.router.routes
    if isinstance(route, APIRoute)
]


def called(dependant):
    yield dependant.call
    for needed in dependant.dependencies:
        yield from called(needed)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{'-'.join(route.methods)} {route.path}")
def test_no_request_waits_for_a_thread(route):
    assert [call for call in called(route.dependant) if not inspect.iscoroutinefunction(call)] == []
