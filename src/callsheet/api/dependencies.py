"""Dependencies of routes."""

from typing import Annotated

from fastapi import Depends, Request

from callsheet.wiring import Runtime


# FastAPI runs a plain function in a thread pool; an async function costs no thread.
async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
