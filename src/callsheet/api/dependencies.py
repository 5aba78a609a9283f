"""The open house, as routes are given it."""

from typing import Annotated

from fastapi import Depends, Request

from callsheet.wiring import House


# Without the `async`, every request would wait for a thread to do this in.
async def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


HouseDep = Annotated[House, Depends(_house)]
