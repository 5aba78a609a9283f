"""HTTP client of one ComfyUI server."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal, Self

import httpx2

from callsheet.comfyui.errors import AccessDenied, rejection_error
from callsheet.comfyui.graph import Graph
from callsheet.comfyui.multipart import encode_upload
from callsheet.comfyui.outputs import OutputFile
from callsheet.comfyui.parsing import read_object, sanitize_text
from callsheet.domain.errors import (
    BadOutput,
    OutputExpired,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.files.atomic_write import write_atomically
from callsheet.files.fetch import redact_url
from callsheet.http_clients import direct_client

_CHUNK = 256 * 1024
_CONNECT_TIMEOUT = 5.0
_GATEWAY_ERRORS = frozenset({502, 503, 504})
"""Status codes of a proxy whose server does not respond."""
_DENIED = frozenset({401, 403})
_PROXY_STATUSES = frozenset({401, 407, 408, 429})
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
"""Errors after which the request has certainly not reached the server."""
_CANCEL_PAUSES = (0.05, 0.2, 0.5)
"""Seconds between cancel requests; the last one repeats."""

State = Literal["queued", "running", "ended", "unknown"]


@dataclass(frozen=True, slots=True)
class PromptStatus:
    """The state of one prompt, with the load of its server."""

    state: State
    """`unknown`: the server never had the prompt, or lost it in a restart."""
    entry: Mapping[str, Any] | None = None
    """Its history entry, once it has ended."""
    ahead: int = 0
    """Prompts that run before it."""
    running: int = 0
    """Running prompts of the server, of all clients."""
    pending: int = 0
    """Queued prompts of the server, of all clients."""


class ComfyUIClient:
    """HTTP client of one server, used as an async context manager.

    Every method raises ProviderUnreachable when the server does not respond, AccessDenied when it rejects the
    credentials.
    """

    def __init__(self, url: str, *, timeout: float = 120.0, max_bytes: int = 20 * 2**30) -> None:
        """Requests time out after `timeout` seconds; downloads are limited to `max_bytes`."""
        self.url = url.rstrip("/")
        self.display_url = redact_url(self.url)
        """The URL for messages, without a password."""
        self._max_bytes = max_bytes
        self._client = direct_client(timeout=httpx2.Timeout(timeout, connect=_CONNECT_TIMEOUT))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def system_stats(self) -> dict[str, Any]:
        """Return `/system_stats`: the objects `system` and `devices`."""
        return await self._get_object("/system_stats", "system")

    async def object_info(self) -> dict[str, Any]:
        """Return `/object_info`: every node class with its inputs and outputs."""
        return await self._get_object("/object_info", "LoadImage")

    async def queue_depth(self) -> int:
        """Return the number of queued and running prompts, of all clients."""
        info = await self._get_object("/prompt", "exec_info")
        return int(info["exec_info"].get("queue_remaining") or 0)

    async def is_stuck(self) -> bool:
        """Whether prompts are queued and none runs."""
        queue = await self._get_object("/queue", "queue_running")
        return bool(queue.get("queue_pending")) and not queue.get("queue_running")

    async def upload(self, path: Path, name: str, *, folder: str = "callsheet") -> str:
        """Upload a file, and return the name under which nodes find it.

        Raises SubmissionRejected when the server does not accept the file.
        """
        response = await self._request("POST", "/upload/image", **await encode_upload(path, name, folder))
        if response.status_code == 413:
            raise SubmissionRejected(
                f"{path.name} is larger than {self.display_url} accepts. The limits are --max-upload-size of "
                "ComfyUI, and client_max_body_size of nginx, or that of another proxy in front of it."
            )
        stored = read_object(response.content)
        if response.status_code != 200 or not isinstance(stored.get("name"), str):
            raise SubmissionRejected(f"ComfyUI rejected the upload of {path.name} with status {response.status_code}.")
        return "/".join(filter(None, (str(stored.get("subfolder") or ""), stored["name"])))

    async def submit(self, graph: Graph, prompt_id: str, client_id: str) -> str:
        """Queue a graph, and return the prompt id that the server uses. The request is sent once, without retry.

        Raises BadParams with every problem that the server's validation finds, SubmissionRejected,
        ProviderUnreachable when nothing was sent, and SubmissionUnknown when the response was lost: then look the
        prompt id up.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id, "extra_data": {}}
        try:
            response = await self._client.post(f"{self.url}/prompt", json=body)
        except _NOT_SENT as error:
            raise self._unreachable(error) from error
        except httpx2.HTTPError as error:
            raise SubmissionUnknown(
                f"The response of {self.display_url} to the prompt was lost: {_error_name(error)}."
            ) from error
        self._check_access(response)
        fields = read_object(response.content)
        if response.status_code in _GATEWAY_ERRORS:
            raise SubmissionUnknown(
                f"A proxy in front of {self.display_url} responded with status {response.status_code}."
            )
        if response.status_code != 200:
            raise (
                rejection_error(fields)
                if fields
                else SubmissionRejected(f"ComfyUI rejected the prompt: {_describe(response)}")
            )
        accepted_id = str(fields.get("prompt_id") or prompt_id)
        if fields.get("node_errors"):
            # ComfyUI would drop the invalid outputs, run the others, and report success.
            with suppress(ProviderUnreachable):  # the prompt is rejected in any case, and must not be sent elsewhere
                await self.cancel(accepted_id)
            raise rejection_error(fields)
        return accepted_id

    async def get_status(self, prompt_id: str, *, timeout: float | None = None) -> PromptStatus:
        """Return the status of a prompt. `timeout` replaces that of the client.

        The queue is read before the history: a prompt that has left the queue is in the history by then.
        """
        queue = await self._get_object("/queue", "queue_running", timeout=timeout)
        running = [str(item[1]) for item in queue.get("queue_running") or ()]
        pending = [str(item[1]) for item in sorted(queue.get("queue_pending") or (), key=lambda item: item[0])]
        status = partial(PromptStatus, running=len(running), pending=len(pending))
        if prompt_id in running:
            return status("running")
        if prompt_id in pending:
            return status("queued", ahead=pending.index(prompt_id) + len(running))
        entry = await self.get_history(prompt_id)
        return status("unknown" if entry is None else "ended", entry)

    async def get_history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a prompt that has ended; None for any other prompt."""
        entry = (await self._get_object(f"/history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def delete_history(self, prompt_id: str) -> None:
        """Delete the history entry of a prompt."""
        await self._request("POST", "/history", json={"delete": [prompt_id]})

    async def cancel(self, prompt_id: str, *, timeout: float = 20.0) -> PromptStatus:
        """Cancel one prompt, and return its status afterwards.

        ComfyUI cannot interrupt the last node of a prompt, nor a node that reports no steps: after `timeout` seconds
        the prompt may still be `running`.
        """
        end = time.monotonic() + timeout
        pauses = chain(_CANCEL_PAUSES, repeat(_CANCEL_PAUSES[-1]))
        status = await self._cancel_once(prompt_id, use_jobs_api=True)
        while status.state in ("queued", "running") and time.monotonic() < end:
            await asyncio.sleep(next(pauses))
            status = await self._cancel_once(prompt_id, use_jobs_api=False)
        return status

    async def _cancel_once(self, prompt_id: str, *, use_jobs_api: bool) -> PromptStatus:
        # Servers before 2026 lack this route, and respond with 404 or 405.
        response = await self._request("POST", f"/api/jobs/{prompt_id}/cancel") if use_jobs_api else None
        if response is None or response.status_code != 200:
            # The prompt may move from the queue to the executor between the two requests; cancel() repeats them.
            await self._request("POST", "/queue", json={"delete": [prompt_id]})
            await self._request("POST", "/interrupt", json={"prompt_id": prompt_id})
        return await self.get_status(prompt_id)

    async def free_memory(self) -> None:
        """Make the server unload its models and drop its cache as soon as no prompt runs."""
        await self._request("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def download(self, file: OutputFile, target: Path) -> Path:
        """Download an output file completely or not at all.

        Raises OutputExpired when the server has no such file, BadOutput when a proxy responds instead of the server.
        """
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._client.stream("GET", f"{self.url}/view", params=query) as response:
                _check_download(response.status_code, file)
                await write_atomically(self._limited(response, file), target)
        except httpx2.HTTPError as error:
            raise ProviderUnreachable(
                f"The download of {file.filename} from {self.display_url} failed: {_error_name(error)}"
            ) from error
        return target

    async def _limited(self, response: httpx2.Response, file: OutputFile) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in response.aiter_bytes(_CHUNK):
            size += len(chunk)
            if size > self._max_bytes:
                raise OutputExpired(f"{file.filename} is larger than the limit of {self._max_bytes:,} bytes")
            yield chunk

    async def _get_object(self, path: str, *required: str, timeout: float | None = None) -> dict[str, Any]:
        options = (
            {} if timeout is None else {"timeout": httpx2.Timeout(timeout, connect=min(timeout, _CONNECT_TIMEOUT))}
        )
        response = await self._request("GET", path, **options)
        fields = read_object(response.content)
        if response.status_code != 200 or not fields.keys() >= {*required}:
            # An unrelated server must not look like a ComfyUI that has lost all its prompts.
            raise ProviderUnreachable(
                f"{self.display_url} does not respond like ComfyUI: {path} returned status {response.status_code}"
            )
        return fields

    async def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = await self._client.request(method, f"{self.url}{path}", **options)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code in _GATEWAY_ERRORS:
            raise ProviderUnreachable(
                f"ComfyUI at {self.display_url} does not respond: a proxy returned status {response.status_code}"
            )
        self._check_access(response)
        return response

    def _check_access(self, response: httpx2.Response) -> None:
        if response.status_code in _DENIED:
            raise AccessDenied(
                f"ComfyUI at {self.display_url} rejects the access (status {response.status_code}): check the user and "
                "the password in COMFYUI_API_URL."
            )

    def _unreachable(self, error: Exception) -> ProviderUnreachable:
        return ProviderUnreachable(
            f"ComfyUI at {self.display_url} does not respond: {_error_name(error)}",
            refused=isinstance(error, httpx2.ConnectError),
        )


def _check_download(status: int, file: OutputFile) -> None:
    if status == 200:
        return
    if status == 404:
        raise OutputExpired(
            f"ComfyUI lists the file {file.filename} (node {file.node}), but does not have it. The file was deleted, "
            "and the prompt did not create it again because all its nodes were cached.",
            file=file.filename,
        )
    if status >= 500:
        raise ProviderUnreachable(f"ComfyUI returned status {status} for {file.filename}")
    if status in _PROXY_STATUSES or status < 400:
        # ComfyUI does not respond like this, so a proxy did; the server still has the file.
        found = f"status {status} without the file"
        raise BadOutput(f"ComfyUI returned {found} {file.filename} (node {file.node}).", found=found, damaged=False)
    raise OutputExpired(f"ComfyUI returned status {status} for the file {file.filename} (node {file.node}).")


def _describe(response: httpx2.Response) -> str:
    return f"{response.status_code} {sanitize_text(response.text)}".rstrip()


def _error_name(error: Exception) -> str:
    return type(error).__name__
