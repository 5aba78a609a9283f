"""Files in a submission: as a URL where they have one, else inline."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from callsheet.domain.errors import SubmissionRejected
from callsheet.providers.contract import InputFile


def format_seconds(value: Any) -> Any:
    """Return a number of seconds as `5s`; any other value unchanged."""
    return value if isinstance(value, bool) or not isinstance(value, int | float) else f"{value:g}s"


async def replace_files(value: Any, encode: Callable[[InputFile], Awaitable[Any]]) -> Any:
    """Return a value with every InputFile in it, at any depth, replaced by the result of `encode`."""
    if isinstance(value, InputFile):
        return await encode(value)
    if isinstance(value, Mapping):
        return {name: await replace_files(each, encode) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [await replace_files(each, encode) for each in value]
    return value


async def encode_files(value: Any, provider: str, limit: int) -> Any:
    """Return a value with every InputFile in it replaced by its URL or, without one, by a data URI.

    Raises SubmissionRejected for a file without a URL and with more than `limit` bytes.
    """

    async def encode(file: InputFile) -> str:
        return file.url or f"data:{file.media_type};base64,{await file_as_base64(file, provider, limit)}"

    return await replace_files(value, encode)


async def file_as_base64(file: InputFile, provider: str, limit: int) -> str:
    """Return the content of a file in base64. Raises SubmissionRejected above `limit` bytes."""
    return base64.b64encode(await read_limited(file, provider, limit)).decode()


async def read_limited(file: InputFile, provider: str, limit: int) -> bytes:
    """Return the content of a file. Raises SubmissionRejected above `limit` bytes."""
    size = (await asyncio.to_thread(file.path.stat)).st_size
    if size > limit:
        raise SubmissionRejected(
            f"'{file.path.name}' has {size:,} bytes; {provider} accepts inline files of up to {limit:,} bytes. Larger "
            "files are sent by URL: set CALLSHEET_PUBLIC_URL to the address at which the provider reaches this server.",
            reason="file_too_large",
        )
    return await asyncio.to_thread(file.path.read_bytes)
