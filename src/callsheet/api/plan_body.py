"""Reads the body of a request with a plan."""

from fastapi import Request

from callsheet.api.errors import ApiError

_MEDIA_TYPES = {"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", ""}


async def read_body(request: Request) -> bytes:
    """Read the body of a request. Raises ApiError for another media type."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise ApiError(415, "unsupported_media_type", "Send the plan as application/json or application/yaml.")
    return await request.body()
