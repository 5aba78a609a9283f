"""The open house, as routes are given it."""

from typing import Annotated

from fastapi import Depends, Request

from callsheet.wiring import House


def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


HouseDep = Annotated[House, Depends(_house)]
