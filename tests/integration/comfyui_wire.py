"""What goes over the wire when a prompt is run, with its values left out."""

import asyncio
import json
from uuid import uuid4

import httpx2
from websockets.asyncio.client import connect


async def conversation(url, graph):
    """Return the messages of one run, and the form of what stands in the history; or the answer that refuses it."""
    prompt_id, client_id = str(uuid4()), uuid4().hex
    body = {"prompt": graph, "client_id": client_id, "prompt_id": prompt_id, "extra_data": {}}
    async with (
        asyncio.timeout(60),
        connect(f"ws{url[4:]}/ws?clientId={client_id}", max_size=None, proxy=None) as socket,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        answer = await client.post(f"{url}/prompt", json=body)
        if answer.status_code != 200:
            return answer.status_code, form({**answer.json(), "details": None})
        received = []
        async for message in socket:
            if isinstance(message, str):
                read = json.loads(message)
                received.append((read["type"], read["data"].get("node"), form(read["data"])))
                if read["type"] == "executing" and read["data"]["node"] is None:
                    break
        history = (await client.get(f"{url}/history/{prompt_id}")).json()
        return received, form(history[prompt_id])


def form(value):
    if isinstance(value, dict):
        return {name: form(item) for name, item in value.items()}
    if isinstance(value, list):
        return [form(item) for item in value]
    return "number" if isinstance(value, int | float) else type(value).__name__
