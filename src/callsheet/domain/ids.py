"""Identifiers of executions, jobs, artifacts and workers."""

import time
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from callsheet.domain.clock import clock_difference


def new_id() -> UUID:
    """Return a new UUIDv7 (RFC 9562): unguessable, and ordered by creation time, on the clock of the database."""
    difference = clock_difference()
    return uuid7(nanoseconds=time.time_ns() + round(difference * 1e9)) if difference else uuid7()


def first_id_at(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 that can be created at a moment; the ids of earlier moments are smaller."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)
