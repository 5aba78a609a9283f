"""A server that refuses every PostgreSQL connection with one SQLSTATE, as PostgreSQL and poolers do."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TLS_REQUESTS = (80877103, 80877104)
"""Codes of SSLRequest and GSSENCRequest, which come before the startup message."""


@asynccontextmanager
async def refusing_server(sqlstate: str, message: str) -> AsyncIterator[int]:
    """Refuse all connections to a free port; yields the port."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0".encode()
    response = b"E" + struct.pack("!i", len(fields) + 4) + fields

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _read_code(reader) in _TLS_REQUESTS:
                writer.write(b"N")
            writer.write(response)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _read_code(reader: asyncio.StreamReader) -> int:
    length, code = struct.unpack("!ii", await reader.readexactly(8))
    await reader.readexactly(length - 8)
    return int(code)
