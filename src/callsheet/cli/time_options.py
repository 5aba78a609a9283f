"""Times in options: a time, or a duration before or from now."""

from datetime import UTC, datetime, timedelta

from callsheet.domain.durations import parse_duration


def moment(text: str) -> str:
    """Return a time as RFC 3339, from a time or from a duration before now."""
    try:
        duration: timedelta = parse_duration(text)
        return (datetime.now(UTC) - duration).isoformat()
    except ValueError:
        return text


def moment_ahead(text: str) -> str:
    """Return a time as RFC 3339, from a time or from a duration from now."""
    try:
        duration: timedelta = parse_duration(text)
        return (datetime.now(UTC) + duration).isoformat()
    except ValueError:
        return text
