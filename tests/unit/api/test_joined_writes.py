"""Writes of one turn are sent together, in order and completely."""

import asyncio

import pytest

from callsheet.api.joined_writes import JoinedWrites

LARGE = bytes(200_000)


class Recorded(asyncio.Transport):
    """Keeps what is sent through it."""

    def __init__(self, transport):
        self._transport = transport
        self.sent = []

    def write(self, data):
        self.sent.append(bytes(data))
        self._transport.write(data)

    def close(self):
        self._transport.close()

    def is_closing(self):
        return self._transport.is_closing()


@pytest.fixture
async def connection():
    """A transport of a server with joined writes, what was sent through it, and the reader of the client."""
    made = asyncio.get_running_loop().create_future()

    class Accepts(asyncio.Protocol):
        def connection_made(self, transport):
            made.set_result(transport)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Accepts, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    recorded = Recorded(await made)
    yield JoinedWrites(recorded, loop), recorded.sent, reader
    writer.close()
    recorded.close()
    server.close()


async def test_head_and_body_are_sent_by_one_call(connection):
    joined, sent, reader = connection

    joined.write(b"head")
    joined.write(b"")
    joined.write(b"body")

    assert await reader.readexactly(8) == b"headbody"
    assert sent == [b"headbody"]


async def test_a_large_write_is_sent_at_once(connection):
    joined, sent, reader = connection

    joined.write(b"head")
    joined.write(LARGE)

    assert sent == [b"head" + LARGE]
    assert await reader.readexactly(4 + len(LARGE)) == b"head" + LARGE
    joined.write(b"next")
    assert await reader.readexactly(4) == b"next"


async def test_a_close_loses_nothing_that_was_written(connection):
    joined, _, reader = connection

    joined.write(b"last words")
    joined.close()
    joined.write(b"too late")

    assert await reader.read() == b"last words"
    assert joined.is_closing()
