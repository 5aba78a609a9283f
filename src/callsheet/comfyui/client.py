"""ComfyUI's HTTP interface: one server, one question at a time."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

import httpx2

from callsheet.comfyui.errors import rejection_message
from callsheet.comfyui.graph import Graph
from callsheet.comfyui.outputs import OutputFile
from callsheet.comfyui.parsing import read_object, sanitize_text
from callsheet.domain.errors import OutputExpired, ProviderUnreachable, SubmissionRejected, SubmissionUnknown
from callsheet.files.atomic_write import write_atomically
from callsheet.files.fetch import redact_url
from callsheet.files.media_types import OCTET_STREAM
from callsheet.files.ssrf_guard import tls_context

_CHUNK = 256 * 1024
_CONNECT = 5.0
_AWAY = frozenset({502, 503, 504})
"""A proxy's words for a server that does not answer."""
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_BETWEEN_STOPS = (0.05, 0.2, 0.5)

State = Literal["queued", "running", "ended", "unknown"]


@dataclass(frozen=True, slots=True)
class PromptStatus:
    """How a prompt stands, and how busy its server is."""

    state: State
    """`unknown`: the server has never heard of it, or has forgotten it."""
    entry: Mapping[str, Any] | None = None
    """Of the history, once it has ended."""
    ahead: int = 0
    """Prompts that are run before it."""
    running: int = 0
    waiting: int = 0


class ComfyUI:
    """A server, to be used as an async context. Every method raises ProviderUnreachable when no answer comes."""

    def __init__(self, url: str, *, timeout: float = 120.0, max_bytes: int = 20 * 2**30) -> None:
        """Wait `timeout` seconds for an answer, and take files of up to `max_bytes`."""
        self.url = url.rstrip("/")
        self.place = redact_url(self.url)
        """The address as it may be told: it may hold a password."""
        self._max_bytes = max_bytes
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(timeout, connect=_CONNECT),
            follow_redirects=False,
            trust_env=False,
            verify=tls_context(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def stats(self) -> dict[str, Any]:
        """Return what the server tells about itself: `system` and `devices`."""
        return await self._told("/system_stats", "system")

    async def depth(self) -> int:
        """Return how many prompts wait or run, of whomever."""
        info = await self._told("/prompt", "exec_info")
        return int(info["exec_info"].get("queue_remaining") or 0)

    async def upload(self, path: Path, name: str, *, folder: str = "callsheet") -> str:
        """Bring a file to the server and return the name that a node finds it by.

        Raises Refused when the server does not take it.
        """
        answer = await self._ask("POST", "/upload/image", **await _multipart(path, name, folder))
        if answer.status_code == 413:
            raise SubmissionRejected(
                f"{path.name} is larger than ComfyUI takes; start it with a larger --max-upload-size."
            )
        stored = read_object(answer.content)
        if answer.status_code != 200 or not isinstance(stored.get("name"), str):
            raise SubmissionRejected(f"ComfyUI did not take {path.name}: it answered {answer.status_code}.")
        return "/".join(filter(None, (str(stored.get("subfolder") or ""), stored["name"])))

    async def submit(self, graph: Graph, prompt_id: str, client_id: str) -> str:
        """Queue a graph, once, and return the id that the server knows it by.

        Raises BadParams with all that the server's check finds, Refused, ProviderUnreachable when nothing was sent,
        SubmissionUnknown when the answer did not come: look the id up then.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id, "extra_data": {}}
        try:
            answer = await self._client.post(f"{self.url}/prompt", json=body)
        except _NOT_SENT as error:
            raise self._away(error) from error
        except httpx2.HTTPError as error:
            raise SubmissionUnknown(f"The answer of {self.place} to the prompt was lost: {_name(error)}.") from error
        fields = read_object(answer.content)
        if answer.status_code in _AWAY:
            raise SubmissionUnknown(f"A proxy before {self.place} answered {answer.status_code}.")
        if answer.status_code != 200:
            raise (
                rejection_message(fields)
                if fields
                else SubmissionRejected(f"ComfyUI does not take the prompt: {_words(answer)}")
            )
        known = str(fields.get("prompt_id") or prompt_id)
        if fields.get("node_errors"):
            # It would run what is left without the outputs that do not work, and call that a success.
            await self.stop(known)
            raise rejection_message(fields)
        return known

    async def get_status(self, prompt_id: str) -> PromptStatus:
        """Return how a prompt stands. The queue is read first: whatever leaves it is in the history by then."""
        queue = await self._told("/queue", "queue_running")
        running = [str(item[1]) for item in queue.get("queue_running") or ()]
        waiting = [str(item[1]) for item in sorted(queue.get("queue_pending") or (), key=lambda item: item[0])]
        standing = partial(PromptStatus, running=len(running), waiting=len(waiting))
        if prompt_id in running:
            return standing("running")
        if prompt_id in waiting:
            return standing("queued", ahead=waiting.index(prompt_id) + len(running))
        entry = await self.history(prompt_id)
        return standing("unknown" if entry is None else "ended", entry)

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the entry of a prompt that has ended; None for any other."""
        entry = (await self._told(f"/history/{prompt_id}")).get(prompt_id)
        return entry if isinstance(entry, dict) else None

    async def delete_history(self, prompt_id: str) -> None:
        """Drop a prompt's entry from the history."""
        await self._ask("POST", "/history", json={"delete": [prompt_id]})

    async def stop(self, prompt_id: str, *, patience: float = 20.0) -> PromptStatus:
        """End a prompt, and no other, and return how it stands then.

        A node that is the last one, or reports no steps, is not stopped by anything: after `patience` seconds the
        prompt may still be `running`.
        """
        end = time.monotonic() + patience
        pauses = chain(_BETWEEN_STOPS, repeat(_BETWEEN_STOPS[-1]))
        standing = await self._stop_once(prompt_id, atomic=True)
        while standing.state in ("queued", "running") and time.monotonic() < end:
            await asyncio.sleep(next(pauses))
            standing = await self._stop_once(prompt_id, atomic=False)
        return standing

    async def _stop_once(self, prompt_id: str, *, atomic: bool) -> PromptStatus:
        # Servers before 2026 do not have the route, and say 404 or 405.
        answer = await self._ask("POST", f"/api/jobs/{prompt_id}/cancel") if atomic else None
        if answer is None or answer.status_code != 200:
            await self._ask("POST", "/queue", json={"delete": [prompt_id]})
            await self._ask("POST", "/interrupt", json={"prompt_id": prompt_id})
        return await self.get_status(prompt_id)

    async def free(self) -> None:
        """Have the server unload its models and drop what it has cached, once no prompt runs."""
        await self._ask("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def download(self, file: OutputFile, target: Path) -> Path:
        """Download an output file, complete or not at all. Raises OutputExpired when the server has no such file."""
        place = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._client.stream("GET", f"{self.url}/view", params=place) as answer:
                _refuse(answer.status_code, file)
                await write_atomically(self._capped(answer, file), target)
        except httpx2.HTTPError as error:
            raise ProviderUnreachable(
                f"{file.filename} did not come whole from {self.place}: {_name(error)}"
            ) from error
        return target

    async def _capped(self, answer: httpx2.Response, file: OutputFile) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in answer.aiter_bytes(_CHUNK):
            size += len(chunk)
            if size > self._max_bytes:
                raise OutputExpired(f"{file.filename} has more than the {self._max_bytes:,} bytes that are accepted")
            yield chunk

    async def _told(self, path: str, *names: str) -> dict[str, Any]:
        answer = await self._ask("GET", path)
        fields = read_object(answer.content)
        if answer.status_code != 200 or not fields.keys() >= {*names}:
            # Whatever it is, it must not be taken for a server that has forgotten everything.
            raise ProviderUnreachable(f"{self.place} does not answer like ComfyUI: {path} gave {answer.status_code}")
        return fields

    async def _ask(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            answer = await self._client.request(method, f"{self.url}{path}", **request)
        except httpx2.HTTPError as error:
            raise self._away(error) from error
        if answer.status_code in _AWAY:
            raise ProviderUnreachable(f"ComfyUI at {self.place} does not answer: a proxy says {answer.status_code}")
        return answer

    def _away(self, error: Exception) -> ProviderUnreachable:
        return ProviderUnreachable(f"ComfyUI at {self.place} does not answer: {_name(error)}")


def _refuse(status: int, file: OutputFile) -> None:
    if status == 404:
        raise OutputExpired(
            f"ComfyUI names the file {file.filename} (node {file.node}) and does not have it. Somebody removed it, "
            "and the prompt was not run anew since all its nodes were cached.",
            file=file.filename,
        )
    if status >= 500:
        raise ProviderUnreachable(f"ComfyUI answered {status} for {file.filename}")
    if status != 200:
        raise OutputExpired(f"ComfyUI does not give the file {file.filename} (node {file.node}): it answered {status}.")


async def _multipart(path: Path, name: str, folder: str) -> dict[str, Any]:
    """Return body and headers of an upload, streamed from the disk."""
    edge = uuid4().hex
    fields = "".join(_field(edge, key, value) for key, value in (("subfolder", folder), ("type", "input")))
    head = f'{fields}--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
    head = f"{head}Content-Type: {OCTET_STREAM}\r\n\r\n"
    tail = f"\r\n--{edge}--\r\n"
    size = (await asyncio.to_thread(path.stat)).st_size + len(head) + len(tail)

    async def body() -> AsyncGenerator[bytes, None]:
        yield head.encode("ascii")
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
        yield tail.encode("ascii")

    headers = {"Content-Type": f"multipart/form-data; boundary={edge}", "Content-Length": str(size)}
    return {"content": body(), "headers": headers}


def _field(edge: str, name: str, value: str) -> str:
    return f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


def _words(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {sanitize_text(answer.text)}".rstrip()


def _name(error: Exception) -> str:
    return type(error).__name__
