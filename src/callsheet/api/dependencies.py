"""The open runtime, as routes are given it."""

from typing import Annotated

from fastapi import Depends, Request

from callsheet.wiring import Runtime


# Without the `async`, every request would wait for a thread to do this in.
async def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(_runtime)]
