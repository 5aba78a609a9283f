"""Dependencies of routes."""

from typing import Annotated

from fastapi import Depends, Request

from callsheet.domain.callers import Caller
from callsheet.wiring import Runtime


def runtime_of(request: Request) -> Runtime:
    """Return the runtime, in a route that is called so often that the cost of a dependency counts."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def caller_of(request: Request) -> Caller:
    """Return who sends the request."""
    caller: Caller = request.state.caller
    return caller


# FastAPI runs a plain function in a thread pool; an async function costs no thread.
async def _runtime(request: Request) -> Runtime:
    return runtime_of(request)


RuntimeDep = Annotated[Runtime, Depends(_runtime)]


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerDep = Annotated[Caller, Depends(_caller)]
