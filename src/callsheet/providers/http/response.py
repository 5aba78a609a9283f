"""Response of a provider, read completely."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from callsheet.domain.document_limits import check_size
from callsheet.files.fetch import MAX_RETRY_AFTER, parse_retry_after, parse_seconds


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """Status, headers and body of a response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Return the parsed JSON body. Raises ValueError for any other body."""
        parsed = orjson.loads(self.body)
        check_size(parsed)
        return parsed

    def fields(self) -> dict[str, Any]:
        """Return the JSON object in the body; an empty one for any other body."""
        try:
            value = self.json()
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def at(self, *path: str) -> Any:
        """Return the value at a path of object keys in the body; None where there is none."""
        value: Any = self.fields()
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def requested_delay(headers: Mapping[str, str]) -> float | None:
    """Return the delay in seconds that a response requests by `retry-after-ms` or `Retry-After`; None without one."""
    milliseconds = parse_seconds(headers.get("retry-after-ms", ""))
    if milliseconds is None:
        return parse_retry_after(headers.get("retry-after"))
    return min(milliseconds / 1000, MAX_RETRY_AFTER)
