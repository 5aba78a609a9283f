"""A provider in a folder, controlled by a test; several processes can share it.

    fake = FakeProvider(tmp_path)
    async with running_engine([draw], providers=[fake]) as engine:
        execution_id = await engine.submit(plan)
        [request] = await until(fake.requests)
        fake.set_status(request["id"], "succeeded", files={"picture.txt": "a picture"})

The field `submit` of a request's input selects the outcome of the submission: `accept` (the default), `refuse`, `busy`
(rate limit), `lose` (accepted, and the response is lost), `drop` (not accepted, without a response), or `hang`
(accepted, with the response after `release` was called).
"""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from callsheet.domain.errors import (
    BadWebhook,
    OutputExpired,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.domain.ids import new_id
from callsheet.providers.contract import (
    Capabilities,
    Output,
    PollPolicy,
    SubmitRequest,
    Task,
    TaskState,
    TaskStatus,
    WebhookEvent,
)
from callsheet.testing.waiters import until

SIGNATURE = "x-toy-signature"
"""Name of the signature header of a webhook; the valid signature is `right`."""

_ALL_CAPABILITIES = Capabilities(webhook=True, signed=True, cancel=True, progress=True, find_submission=True)
_RUNNING = TaskStatus("running", "drawing")


class FakeProvider:
    """Appends submissions to `<folder>/orders`; the status of each task is a file beside it."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "toy",
        capabilities: Capabilities = _ALL_CAPABILITIES,
        poll_policy: PollPolicy | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.poll_policy = poll_policy or PollPolicy()
        self.reachable = True
        """Whether it responds to this process."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    # Used by a test

    def requests(self) -> list[dict[str, Any]]:
        """Return all accepted submissions: task id, client reference (`mark`), model, input and webhook."""
        return self._lines("orders")

    def cancelled(self) -> list[str]:
        """Return the ids of the tasks with a requested cancellation."""
        return [line["id"] for line in self._lines("cancels")]

    def polls(self) -> int:
        """Return the number of polls."""
        return len(self._lines("polls"))

    def set_status(self, task_id: str, state: TaskState, status: str | None = None, **more: Any) -> None:
        """Set the status of a task. `more` are further fields of TaskStatus, and `files`: text or bytes by name."""
        files = {name: _encode(content) for name, content in more.pop("files", {}).items()}
        self._write(f"{task_id}.json", {"state": state, "status": status or state, "files": files, **more})

    def release(self) -> None:
        """Send the responses of hanging submissions."""
        (self._folder / "released").touch()

    # The provider

    async def submit(self, request: SubmitRequest) -> Task:
        """Accept or reject a submission, as its input says."""
        outcome = request.input.get("submit", "accept")
        if outcome == "refuse":
            raise SubmissionRejected("The fake rejected the submission.")
        if outcome == "busy":
            raise ProviderRateLimited("The fake is rate limited.", retry_after=0.01)
        if outcome == "drop":
            raise SubmissionUnknown("The connection broke.")
        task = Task(self.name, str(new_id()), {"model": request.model})
        line = {"id": task.id, "mark": request.client_reference, "model": request.model, "webhook": request.webhook}
        self._append("orders", line | {"input": {key: str(value) for key, value in request.input.items()}})
        if outcome == "lose":
            raise SubmissionUnknown("The connection broke.")
        if outcome == "hang":
            await until((self._folder / "released").exists, timeout=60)
        return task

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task."""
        if not self.reachable:
            raise ProviderUnreachable("The fake does not respond.")
        self._append("polls", {"id": task.id})
        if all(line["id"] != task.id for line in self.requests()):
            return TaskStatus("lost", "unknown task")
        fields = self._read(f"{task.id}.json")
        if fields is None:
            return _RUNNING
        files: dict[str, str] = fields.pop("files", {})
        outputs = [Output(name=name, inline=b64decode(content)) for name, content in files.items()]
        return replace(_RUNNING, **fields, outputs=outputs)

    async def fetch(self, output: Output, target: Path) -> Path:
        """Write the content of an output."""
        if output.inline is None:
            raise OutputExpired(f"The fake has no {output.name}.")
        await asyncio.to_thread(target.write_bytes, output.inline)
        return target

    async def cancel(self, task: Task) -> None:
        """Cancel a task that has not ended."""
        if not self.reachable:
            raise ProviderUnreachable("The fake does not respond.")
        self._append("cancels", {"id": task.id})
        if not (await self.get_status(task)).ended:
            self.set_status(task.id, "cancelled")

    async def find_submission(
        self,
        request: SubmitRequest,
        since: datetime,  # noqa: ARG002
        others: Collection[str] = (),  # noqa: ARG002
    ) -> Task | None:
        """Find a submission by its client reference."""
        if not self.reachable:
            raise ProviderUnreachable("The fake does not respond.")
        for line in self.requests():
            if line["mark"] == request.client_reference:
                return Task(self.name, line["id"], {"model": line["model"]})
        return None

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Verify and parse `{"id": …, "message": …, "status": …}`."""
        if headers.get(SIGNATURE) != "right":
            raise BadWebhook("The signature is invalid.")
        try:
            fields = json.loads(body)
            return WebhookEvent(fields["id"], fields["message"], fields["status"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadWebhook("The body is not a webhook of the fake.") from error

    async def close(self) -> None:
        """Do nothing."""

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with (self._folder / name).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self._folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        temporary = self._folder / f".{name}-{new_id()}"
        temporary.write_text(json.dumps(value))
        temporary.rename(self._folder / name)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._folder / name
        value: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return value


def _encode(content: str | bytes) -> str:
    return b64encode(content.encode() if isinstance(content, str) else content).decode()
