"""Identifiers of executions, jobs, artifacts and workers."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): unguessable, and ordered by creation time."""
    return uuid7()
