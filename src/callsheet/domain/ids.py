"""Identifiers of executions, jobs, artifacts and workers."""

import time
from uuid import UUID

from uuid_utils.compat import uuid7

from callsheet.domain.clock import clock_difference


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): unguessable, and ordered by creation time, on the clock of the database."""
    difference = clock_difference()
    return uuid7(nanoseconds=time.time_ns() + round(difference * 1e9)) if difference else uuid7()
