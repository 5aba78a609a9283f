"""Many event streams of one server process: events arrive soon, none is lost, and nothing stays behind."""

import asyncio
import re
import time
from collections import Counter
from statistics import median

import httpx2
import pytest

from callsheet.api.route_access import ROUTE_ACCESS
from callsheet.console import (
    clean_up,
    home,
    intakes,
    job_list,
    job_moves,
    providers,
    queues,
    streams,
    workers,
)
from callsheet.console.shared_pages import TOKEN_MARK
from callsheet.testing.waiters import until

from .conftest import messages_of
from .test_console import token_in

STREAMS = 60
PAGES = 20
WATCHERS = 6
SECONDS = 3.0
SHARED = {
    "/console/stream": (streams, "list_executions", 1.0),
    "/console/stream?status=queued": (streams, "list_executions", 1.0),
    "/console/jobs/stream": (job_list, "list_jobs", 1.0),
    "/console/jobs/stream?status=queued&operation=noop": (job_list, "list_jobs", 1.0),
    "/console/home/stream": (home, "count_executions", 3.0),
    "/console/queues/stream": (queues, "list_queues", 2.0),
    "/console/queues/test/jobs/stream": (job_moves, "next_jobs", 2.0),
    "/console/workers/stream": (workers, "running_jobs", 2.0),
    "/console/workers/load/stream": (workers, "resource_histories", 20.0),
    "/console/providers/stream": (providers, "provider_outcomes", 5.0),
    "/console/intakes/stream": (intakes, "list_intakes", 2.0),
    "/console/clean-up/stream": (clean_up, "find_orphan_search", 1.0),
}
"""Event stream of a page → the module and the function that reads what it shows, and the seconds between two reads."""
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


def test_every_stream_of_a_page_is_watched():
    paths = {route.removeprefix("GET ") for route in ROUTE_ACCESS if re.match("GET /console.*/stream$", route)}
    watched = {path.partition("?")[0].replace("/queues/test/", "/queues/{name}/") for path in SHARED}

    assert paths - watched == {"/console/bulk-actions/{action_id}/stream"}, "it needs a bulk action"


async def test_open_pages_share_one_read_in_each_interval_and_get_only_what_has_changed(api, monkeypatch):
    await api.submit(("a", "noop", {}))
    reads, received, opened = Counter(), Counter(), asyncio.Semaphore(0)

    def count(module, name):
        read = getattr(module, name)

        async def counted(*given, **named):
            reads[module, name] += 1
            return await read(*given, **named)

        monkeypatch.setattr(module, name, counted)

    functions = Counter((module, name) for module, name, _ in SHARED.values())
    for module, name in functions:
        count(module, name)

    async def follow(client, path):
        async with client.stream("GET", path) as response:
            opened.release()
            async for line in response.aiter_lines():
                received[path] += line.startswith("data: ")

    base = f"http://127.0.0.1:{api.runtime.settings.port}"
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=60, limits=limits) as client:
        following = [asyncio.create_task(follow(client, path)) for path in SHARED for _ in range(WATCHERS)]
        for _ in following:
            await opened.acquire()
        await until(lambda: received["/console/jobs/stream"] >= WATCHERS * 2 and len(reads) == len(functions))
        await asyncio.sleep(1)  # sleep: until the first reads of all pages have ended
        reads.clear()
        received.clear()
        await asyncio.sleep(SECONDS)  # sleep: the time in which the reads are counted
        unchanged = dict(received)
        found = dict(reads)
        await api.submit(("b", "noop", {}))
        lists = [path for path in SHARED if path.startswith(("/console/stream", "/console/jobs"))]
        await until(lambda: all(received[path] >= WATCHERS for path in lists))
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    for module, name, every in SHARED.values():
        most = functions[module, name] * (SECONDS / every + 1)
        assert found.get((module, name), 0) <= most, (module, name)
    assert found[job_list, "list_jobs"] >= 2
    # The figures of the home page follow the disk of this machine.
    assert not set(unchanged) - {"/console/home/stream"}
