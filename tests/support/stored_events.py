"""Check of the events that a test has stored: each is one of the types of `domain.events`, with exactly its data."""

import asyncpg
import orjson
from pydantic import ValidationError

from callsheet.domain.error_codes import job_error_codes, problem_codes
from callsheet.domain.events import read_event

_JOB_CODES = frozenset(job_error_codes())
_PROBLEM_CODES = frozenset(problem_codes())


async def faults_of_stored_events(connection: asyncpg.Connection) -> list[str]:
    """Return one line for each stored event that no event type describes."""
    columns = await connection.fetch("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('events')")
    if "number" not in {column["attname"] for column in columns}:
        return []  # no table, or that of another application
    rows = await connection.fetch(
        "SELECT DISTINCT ON (type, data, job_id IS NULL) number, type, job_id, data::text AS data, at FROM events"
    )
    return [f"{row['type']} {row['data']}: {fault}" for row in rows if (fault := fault_of_event(dict(row))) is not None]


def fault_of_event(row: dict) -> str | None:
    """Return what is wrong with the row of an event, or None."""
    data = orjson.loads(row["data"]) if row["data"] else {}
    try:
        event = read_event({**row, "data": data})
    except ValidationError as error:
        return str(error)
    if event.data != data:
        return f"its type has only the data {event.data}"
    return _unlisted_code(data.get("error"))


def _unlisted_code(error: dict | None) -> str | None:
    if error is None:
        return None
    if error["code"] not in _JOB_CODES:
        return f"the error code {error['code']} is not listed"
    unlisted = {each["code"] for each in error.get("problems", ())} - _PROBLEM_CODES
    return f"problem codes that are not listed: {unlisted}" if unlisted else None
