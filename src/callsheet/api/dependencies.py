"""Dependencies of routes."""

from typing import Annotated

from fastapi import Depends, Request

from callsheet.wiring import Runtime


def runtime_of(request: Request) -> Runtime:
    """Return the runtime, in a route that is called so often that the cost of a dependency counts."""
    runtime: Runtime = request.app.state.runtime
    return runtime


# FastAPI runs a plain function in a thread pool; an async function costs no thread.
async def _runtime(request: Request) -> Runtime:
    return runtime_of(request)


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
