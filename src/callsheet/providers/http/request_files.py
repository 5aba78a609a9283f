"""Files inside an order: by address where they have one, else inside the order itself."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from callsheet.domain.errors import SubmissionRejected
from callsheet.providers.contract import InputFile


def format_seconds(value: Any) -> Any:
    """Return a number of seconds as `5s`; anything else as it is."""
    return value if isinstance(value, bool) or not isinstance(value, int | float) else f"{value:g}s"


async def replace_files(given: Any, fill: Callable[[InputFile], Awaitable[Any]]) -> Any:
    """Return an order's input with what `fill` makes of it in the place of each InputFile, wherever it stands."""
    if isinstance(given, InputFile):
        return await fill(given)
    if isinstance(given, Mapping):
        return {name: await replace_files(value, fill) for name, value in given.items()}
    if isinstance(given, list | tuple):
        return [await replace_files(value, fill) for value in given]
    return given


async def encode_files(given: Any, provider: str, limit: int) -> Any:
    """Return an order's input with a URL or a data URI in the place of each InputFile.

    Raises Refused for a file that has no address and more than `limit` bytes.
    """

    async def fill(file: InputFile) -> str:
        return file.url or f"data:{file.media_type};base64,{await file_as_base64(file, provider, limit)}"

    return await replace_files(given, fill)


async def file_as_base64(file: InputFile, provider: str, limit: int) -> str:
    """Return a file's bytes in base64. Raises Refused when there are more than `limit`."""
    return base64.b64encode(await read_limited(file, provider, limit)).decode()


async def read_limited(file: InputFile, provider: str, limit: int) -> bytes:
    """Return the bytes of a file that goes into an order. Raises Refused when there are more than `limit`."""
    size = (await asyncio.to_thread(file.path.stat)).st_size
    if size > limit:
        raise SubmissionRejected(
            f"'{file.path.name}' has {size:,} bytes, and an order to {provider} takes files of up to {limit:,}. Larger "
            "ones it fetches by their address, for which CALLSHEET_PUBLIC_URL must be set to where this server is "
            "reached from outside.",
            reason="file_too_large",
        )
    return await asyncio.to_thread(file.path.read_bytes)
