"""The fake server has the faults of the real one; otherwise tests with it would prove nothing."""

import asyncio
import json

import pytest
from websockets.asyncio.client import ClientConnection, connect

from callsheet.comfyui.client import ComfyUIClient
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import stepping, workflow

ID = "0b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a1%d"


async def received(socket: ClientConnection) -> list[str]:
    """Return the types of all messages until 0.3 s pass without one."""
    kinds = []
    while True:
        try:
            kinds.append(json.loads(await asyncio.wait_for(socket.recv(), 0.3))["type"])
        except TimeoutError:
            return kinds


def listen(server: FakeComfyUI, client_id: str, **options: int) -> connect:
    return connect(f"ws{server.url[4:]}/ws?clientId={client_id}", proxy=None, **options)


async def test_a_second_socket_with_the_same_id_gets_no_messages_after_the_first_one_closes(server: FakeComfyUI):
    async with listen(server, "same") as first, listen(server, "same") as second, ComfyUIClient(server.url) as client:
        await received(second)
        await first.close()
        await client.submit(workflow("image_tiny"), ID % 1, "same")

        assert await received(second) == []


async def test_message_size_is_not_limited(server: FakeComfyUI):
    graph = workflow("image_tiny")
    graph["4"] = {"class_type": "LargeOutput", "inputs": {"image": ["1", 0], "megabytes": 2}}
    async with listen(server, "small", max_size=2**20) as socket, ComfyUIClient(server.url) as client:
        await client.submit(graph, ID % 1, "small")
        with pytest.raises(Exception, match="1009"):
            while True:
                await asyncio.wait_for(socket.recv(), 5)


async def test_a_prompt_id_submitted_twice_runs_twice(server: FakeComfyUI):
    async with ComfyUIClient(server.url) as client:
        for _ in range(2):
            await client.submit(stepping(), ID % 1, "me")
        status = await client.get_status(ID % 1)

    assert (status.running + status.pending, server.accepted) == (2, [ID % 1] * 2)


async def test_an_interrupt_without_id_stops_the_running_prompt(server: FakeComfyUI):
    async with ComfyUIClient(server.url) as client:
        await client.submit(stepping(), ID % 1, "me")
        await server.executor.reached_nodes.get()
        await client._request("POST", "/interrupt")
        async with asyncio.timeout(5):
            while (entry := await client.get_history(ID % 1)) is None:
                pass

    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_an_interrupt_of_a_queued_prompt_has_no_effect(server: FakeComfyUI):
    async with ComfyUIClient(server.url) as client:
        await client.submit(stepping(), ID % 1, "me")
        await client.submit(workflow("image_tiny"), ID % 2, "me")
        await server.executor.reached_nodes.get()
        await client._request("POST", "/interrupt", json={"prompt_id": ID % 2})

        assert (await client.get_status(ID % 1)).state == "running"
        assert (await client.get_status(ID % 2)).state == "queued"
