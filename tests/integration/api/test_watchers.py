"""Many event streams of one server process: events arrive soon, none is lost, and nothing stays behind."""

import asyncio
import re
import time
from statistics import median

import httpx2
import pytest

from callsheet.console import streams
from callsheet.console.shared_pages import TOKEN_MARK
from callsheet.testing.waiters import until

from .conftest import messages_of
from .test_console import token_in

STREAMS = 60
PAGES = 20
_WRITE = """
WITH numbered AS (
    UPDATE executions SET last_event = last_event + 1 RETURNING id, last_event
), stored AS (
    INSERT INTO events (execution_id, number, job_id, type, data)
    SELECT id, last_event, 'a', 'job.progress', '{"progress": 0.5}' FROM numbered RETURNING execution_id
)
SELECT pg_notify(current_schema() || '_events', execution_id::text) FROM stored
"""


class Stream:
    """What one stream has received."""

    def __init__(self):
        self.numbers = []
        self.waits = []

    async def follow(self, client, execution_id, *, cut_after=None):
        """Follow an execution; cut the stream after some events, and resume it with Last-Event-ID."""
        while True:
            headers = {"Last-Event-ID": str(self.numbers[-1])} if self.numbers else {}
            async with client.stream("GET", f"/api/executions/{execution_id}/events", headers=headers) as response:
                async for message in messages_of(response):
                    self.numbers.append(message.id)
                    self.waits.append(time.time())
                    if len(self.numbers) == cut_after:
                        break
                else:
                    return


@pytest.mark.parametrize("executions", [1, STREAMS])
async def test_events_reach_all_streams_soon_and_a_cut_stream_loses_none(api, executions):
    ids = [await api.submit(("a", "noop", {})) for _ in range(executions)]
    base = f"http://127.0.0.1:{api.runtime.settings.port}"
    streams = [Stream() for _ in range(STREAMS)]
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=60, limits=limits) as client:
        following = [
            asyncio.create_task(stream.follow(client, ids[place % executions], cut_after=3 if place % 4 == 0 else None))
            for place, stream in enumerate(streams)
        ]
        await until(lambda: all(stream.numbers for stream in streams), timeout=60)
        written = []
        async with api.runtime.database.connection() as connection:
            for _ in range(6):
                await connection.execute(_WRITE)
                written.append(time.time())
                await asyncio.sleep(0.3)  # sleep: events come one after the other
        await until(lambda: all(len(stream.numbers) == 7 for stream in streams), timeout=60)
        for execution_id in ids:
            await api.client.post(f"/api/executions/{execution_id}/cancel")
        await asyncio.wait_for(asyncio.gather(*following), 60)

    for stream in streams:
        assert stream.numbers == list(range(1, len(stream.numbers) + 1))
        assert len(stream.numbers) >= 8
    waits = [stream.waits[1 + place] - at for stream in streams for place, at in enumerate(written)]
    assert median(waits) < 1.0, "300 ms on an idle machine; this one may be busy"
    assert (api.runtime.event_stream.watchers, api.runtime.event_stream.watched) == (0, 0)


async def test_open_pages_of_an_execution_share_what_they_show_and_keep_their_own_token(api, monkeypatch):
    reads = []
    read = streams.read_execution_page

    async def counted(*given):
        reads.append(given)
        return await read(*given)

    monkeypatch.setattr(streams, "read_execution_page", counted)
    execution = await api.submit(("a", "noop", {}))
    page = await api.client.get(f"/executions/{execution}")
    token = token_in(page.text)
    first_events = int(re.search("after_event=([0-9]+)", page.text)[1])

    async def follow():
        path = f"/console/stream/{execution}?after_event={first_events}"
        async with api.client.stream("GET", path) as response:
            opened.release()
            async for line in response.aiter_lines():
                if token in line:
                    return line
        return ""

    opened = asyncio.Semaphore(0)
    following = [asyncio.create_task(follow()) for _ in range(PAGES)]
    for _ in range(PAGES):
        await opened.acquire()
    await api.client.post(f"/api/executions/{execution}/cancel")
    shown = await asyncio.wait_for(asyncio.gather(*following), 60)

    assert all("cancelled" in each and TOKEN_MARK not in each for each in shown)
    # Each page is read at its begin and after the event, and the log line by line; all of them together a few times.
    assert len(reads) < PAGES
