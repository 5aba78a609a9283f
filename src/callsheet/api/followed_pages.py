"""Pages of what grows until an execution has ended: its events, and the logs of its jobs."""

from typing import Annotated

from fastapi import Header
from pydantic import Field

from callsheet.domain.model import Model

PAGE_SIZE = 500
"""Entries of a page."""

LastEventId = Annotated[int | None, Header(ge=0, description="Same as `after`; clients send it when they reconnect")]


class FollowedPage(Model):
    """Where the next page starts, and whether there is one."""

    next_after: int = Field(description="Value of `after` for the next page")
    ended: bool = Field(description="Whether what the page is about has ended, and these are its last entries")
