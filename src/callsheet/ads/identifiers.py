"""Ids of tenants, ads, deals and contacts: data of the clients, bounded."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field


def _as_text(value: object) -> object:
    # HubSpot numbers its deals and portals, and other systems name them.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _plain(value: str) -> str:
    # A reference of a plan. An id from outside must not become one.
    if "${" in value or value != value.strip() or not value.isprintable():
        raise ValueError("must have only printable characters, no space at the ends, and no '${'")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_as_text), AfterValidator(_plain)]
"""1 to 200 printable characters, without space at the ends. A number becomes its text."""

DEFAULT_TENANT = "default"
"""The tenant of messages that name none."""
