"""Times of requests that are compared with times in the database."""

from datetime import UTC, datetime

_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def comparable_time(moment: datetime) -> datetime:
    """Return a time that the database can compare. Times of the far past and future are cut to the range of years."""
    if moment.year < _FIRST_YEAR:
        return datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
    if moment.year > _LAST_YEAR:
        return datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)
    return moment.astimezone() if moment.tzinfo is None else moment
