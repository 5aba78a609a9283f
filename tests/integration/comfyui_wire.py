"""The messages of one prompt run, with types in place of values."""

import asyncio
import json
from uuid import uuid4

import httpx2
from websockets.asyncio.client import connect


async def conversation(url, graph):
    """Return the messages of one run and its history entry; or the response that rejects the prompt."""
    prompt_id, client_id = str(uuid4()), uuid4().hex
    body = {"prompt": graph, "client_id": client_id, "prompt_id": prompt_id, "extra_data": {}}
    async with (
        asyncio.timeout(60),
        connect(f"ws{url[4:]}/ws?clientId={client_id}", max_size=None, proxy=None) as socket,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        response = await client.post(f"{url}/prompt", json=body)
        if response.status_code != 200:
            return response.status_code, types_of({**response.json(), "details": None})
        received = []
        async for message in socket:
            if isinstance(message, str):
                data = json.loads(message)
                received.append((data["type"], data["data"].get("node"), types_of(data["data"])))
                if data["type"] == "executing" and data["data"]["node"] is None:
                    break
        history = (await client.get(f"{url}/history/{prompt_id}")).json()
        return received, types_of(history[prompt_id])


def types_of(value):
    if isinstance(value, dict):
        return {name: types_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [types_of(item) for item in value]
    return "number" if isinstance(value, int | float) else type(value).__name__
