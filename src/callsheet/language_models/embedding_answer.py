"""Reading of the vectors in an answer."""

import math
from typing import Any

import httpx2
import orjson

from callsheet.domain.errors import ProviderUnreachable
from callsheet.providers.http.json_fields import as_object

MAX_BYTES = 64 * 2**20
"""Maximum size of a response: 32 vectors of 4,096 numbers have about 3 MB."""


async def read_vectors(response: httpx2.Response, server: str, count: int) -> list[list[float]]:
    """Return the vectors of an answer with status 200, in the order of the texts.

    Raises ProviderUnreachable for an answer that is too large, no JSON, or not one vector of numbers for each text.
    """
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise ProviderUnreachable(f"the answer of {server} is larger than {MAX_BYTES:,} bytes")
    try:
        rows = as_object(orjson.loads(body)).get("data")
    except ValueError:
        raise ProviderUnreachable(f"the answer of {server} is no valid JSON; it may have been cut off") from None
    if not isinstance(rows, list) or len(rows) != count:
        found = len(rows) if isinstance(rows, list) else "no"
        raise ProviderUnreachable(f"{server} returned {found} vectors for {count} texts")
    vectors: list[list[float] | None] = [None] * count
    for place, row in enumerate(rows):
        fields = as_object(row)
        index = fields.get("index", place)
        if isinstance(index, int) and 0 <= index < count:
            vectors[index] = _vector(fields.get("embedding"))
    complete = [each for each in vectors if each]
    if len(complete) < count or len({len(each) for each in complete}) > 1:
        raise ProviderUnreachable(f"{server} did not return a vector of numbers for each text")
    return complete


def _vector(value: Any) -> list[float] | None:
    if not isinstance(value, list) or not all(type(each) in (int, float) and math.isfinite(each) for each in value):
        return None
    return value if any(value) else None
