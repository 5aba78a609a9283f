"""The stand-in has the faults that the real server has, or tests on it would prove nothing."""

import asyncio
import json

import pytest
from websockets.asyncio.client import ClientConnection, connect

from callsheet.comfyui.client import ComfyUI
from callsheet.fakes.comfyui import FakeComfyUI

from .conftest import stepping, workflow

ID = "0b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a1%d"


async def heard(socket: ClientConnection) -> list[str]:
    """What comes within a moment."""
    kinds = []
    while True:
        try:
            kinds.append(json.loads(await asyncio.wait_for(socket.recv(), 0.3))["type"])
        except TimeoutError:
            return kinds


def listen(server: FakeComfyUI, client_id: str, **options: int) -> connect:
    return connect(f"ws{server.url[4:]}/ws?clientId={client_id}", proxy=None, **options)


async def test_a_second_socket_under_one_id_goes_deaf_when_the_first_one_ends(server: FakeComfyUI):
    async with listen(server, "same") as first, listen(server, "same") as second, ComfyUI(server.url) as comfy:
        await heard(second)
        await first.close()
        await comfy.submit(workflow("image_tiny"), ID % 1, "same")

        assert await heard(second) == []


async def test_messages_are_as_large_as_their_nodes_make_them(server: FakeComfyUI):
    graph = workflow("image_tiny")
    graph["4"] = {"class_type": "Loud", "inputs": {"image": ["1", 0], "megabytes": 2}}
    async with listen(server, "small", max_size=2**20) as socket, ComfyUI(server.url) as comfy:
        await comfy.submit(graph, ID % 1, "small")
        with pytest.raises(Exception, match="1009"):
            while True:
                await asyncio.wait_for(socket.recv(), 5)


async def test_the_same_id_twice_runs_twice(server: FakeComfyUI):
    async with ComfyUI(server.url) as comfy:
        for _ in range(2):
            await comfy.submit(stepping(), ID % 1, "me")
        standing = await comfy.get_status(ID % 1)

    assert (standing.running + standing.waiting, server.accepted) == (2, [ID % 1] * 2)


async def test_a_bare_interrupt_hits_whoever_runs(server: FakeComfyUI):
    async with ComfyUI(server.url) as comfy:
        await comfy.submit(stepping(), ID % 1, "me")
        await server.executor.reached.get()
        await comfy._ask("POST", "/interrupt")
        async with asyncio.timeout(5):
            while (entry := await comfy.history(ID % 1)) is None:
                pass

    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


async def test_an_interrupt_of_a_prompt_that_waits_changes_nothing(server: FakeComfyUI):
    async with ComfyUI(server.url) as comfy:
        await comfy.submit(stepping(), ID % 1, "me")
        await comfy.submit(workflow("image_tiny"), ID % 2, "me")
        await server.executor.reached.get()
        await comfy._ask("POST", "/interrupt", json={"prompt_id": ID % 2})

        assert (await comfy.get_status(ID % 1)).state == "running"
        assert (await comfy.get_status(ID % 2)).state == "queued"
