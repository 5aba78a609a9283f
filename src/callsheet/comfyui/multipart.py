"""Multipart encoding of an upload, streamed from the disk."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4

from callsheet.files.media_types import OCTET_STREAM

_CHUNK = 256 * 1024


async def encode_upload(path: Path, name: str, folder: str) -> dict[str, Any]:
    """Return the body and the headers of an upload to ComfyUI's input folder, as request options.

    `name` must be ASCII. ComfyUI stores it as it is sent, so it must not be percent-encoded.
    """
    boundary = uuid4().hex
    fields = "".join(_field(boundary, key, value) for key, value in (("subfolder", folder), ("type", "input")))
    head = f'{fields}--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
    head = f"{head}Content-Type: {OCTET_STREAM}\r\n\r\n"
    tail = f"\r\n--{boundary}--\r\n"
    size = (await asyncio.to_thread(path.stat)).st_size + len(head) + len(tail)

    async def body() -> AsyncGenerator[bytes, None]:
        yield head.encode("ascii")
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
        yield tail.encode("ascii")

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(size)}
    return {"content": body(), "headers": headers}


def _field(boundary: str, name: str, value: str) -> str:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
