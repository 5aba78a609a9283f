"""Submission of a prompt that survives a lost response."""

import asyncio
from contextlib import suppress

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.graph import Graph
from callsheet.domain.errors import PromptLost, ProviderUnreachable, SubmissionUnknown

_LOOKUP_PAUSES = (0.2, 1.0, 3.0)
"""Seconds before each lookup of a prompt whose response was lost."""


async def submit_prompt(client: ComfyUIClient, graph: Graph, prompt_id: str, client_id: str) -> str:
    """Queue a prompt, and return the prompt id that the server uses.

    Raises the errors of `ComfyUIClient.submit`, except SubmissionUnknown: when the response is lost, the prompt is
    looked up, and PromptLost is raised if it is not found.
    """
    try:
        return await client.submit(graph, prompt_id, client_id)
    except SubmissionUnknown as unknown:
        reason = unknown.message
    # The server may run the prompt: it must be looked up, and must not be sent a second time.
    server_responded = False
    for pause in _LOOKUP_PAUSES:
        await asyncio.sleep(pause)
        with suppress(ProviderUnreachable):
            if (await client.get_status(prompt_id)).state != "unknown":
                return prompt_id
            server_responded = True
    result = "The server does not know the prompt." if server_responded else "The prompt will be looked up later."
    raise PromptLost(f"{reason} {result}", prompt_id=prompt_id)
