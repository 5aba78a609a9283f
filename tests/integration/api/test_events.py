"""Event streams of executions, over a real socket."""

import asyncio

from .conftest import messages_of


async def test_a_stream_has_every_event_once_in_order_and_ends_with_the_execution(working):
    execution_id = await working.submit(("a", "report-progress", {"reports": 3, "pause": 0.3}))

    async with working.client.stream("GET", f"/api/executions/{execution_id}/events") as response:
        seen = [message async for message in messages_of(response)]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert [message.id for message in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].event == "execution.succeeded"
    assert "job.progress" in {message.event for message in seen}
    assert all(message.data["type"] == message.event for message in seen)


async def test_a_stream_resumes_after_the_last_event_id(working):
    execution_id = await working.submit(("a", "report-progress", {"reports": 4, "pause": 0.3}))
    path = f"/api/executions/{execution_id}/events"

    async with working.client.stream("GET", path) as response:
        async for message in messages_of(response):
            if message.event == "job.progress":
                break
    async with working.client.stream("GET", path, headers={"Last-Event-ID": str(message.id)}) as response:
        rest = [later.id async for later in messages_of(response)]
    async with working.client.stream("GET", path, params={"after": message.id}) as response:
        same = [later.id async for later in messages_of(response)]

    assert rest == same == list(range(message.id + 1, rest[-1] + 1))


async def test_a_reconnect_after_the_last_event_gets_a_204(working):
    execution_id = await working.submit(("a", "noop", {}))
    last = (await working.ended(execution_id))["lastEvent"]

    response = await working.client.get(f"/api/executions/{execution_id}/events", headers={"Last-Event-ID": str(last)})

    assert response.status_code == 204


async def test_events_are_a_json_page_on_request(working):
    execution_id = await working.submit(("a", "noop", {}))
    last = (await working.ended(execution_id))["lastEvent"]

    response = await working.client.get(
        f"/api/executions/{execution_id}/events", params={"after": 1}, headers={"Accept": "application/json"}
    )

    page = response.json()
    assert [event["number"] for event in page["events"]] == list(range(2, last + 1))
    assert (page["nextAfter"], page["ended"]) == (last, True)


async def test_a_stream_of_an_unknown_execution_is_a_404(api):
    response = await api.client.get("/api/executions/00000000-0000-0000-0000-000000000000/events")

    assert response.status_code == 404


async def test_a_stream_begins_with_the_reconnection_time(api):
    execution_id = await api.submit(("a", "noop", {}))

    async with api.client.stream("GET", f"/api/executions/{execution_id}/events") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "retry: 3000"


async def test_open_streams_do_not_delay_the_shutdown(api):
    execution_id = await api.submit(("a", "noop", {}))
    loop = asyncio.get_running_loop()

    async with api.client.stream("GET", f"/api/executions/{execution_id}/events") as response:
        seen = messages_of(response)
        assert (await anext(seen)).id == 1
        began = loop.time()
        api.server.stop()
        assert [message async for message in seen] == []

    assert loop.time() - began < 3


async def test_a_stream_survives_a_database_error(working, monkeypatch):
    execution_id = await working.submit(("a", "report-progress", {"reports": 3, "pause": 0.3}))
    follow, cuts = working.runtime.event_stream.follow, []

    async def cut_once(execution_id, *, after=0, forever=False):
        async for event in follow(execution_id, after=after, forever=forever):
            if event.number == 3 and not cuts:
                cuts.append(event.number)
                raise ConnectionResetError
            yield event

    monkeypatch.setattr(
        type(working.runtime.event_stream), "follow", lambda _, *args, **named: cut_once(*args, **named)
    )
    async with working.client.stream("GET", f"/api/executions/{execution_id}/events") as response:
        seen = [message.id async for message in messages_of(response)]

    assert cuts == [3]
    assert seen == list(range(1, len(seen) + 1))
