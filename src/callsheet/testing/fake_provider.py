"""A provider in a folder, which does as a test tells it; several processes may share it.

    toy = FakeProvider(tmp_path)
    async with running_engine([draw], providers=[toy]) as engine:
        execution_id = await engine.submit(plan)
        [order] = await until(toy.orders)
        toy.tell(order["id"], "succeeded", files={"picture.txt": "a picture"})

How it takes an order is told by the order's own input, under `submit`: `accept` (as without it), `refuse`, `busy`,
`lose` (it takes the order, and its answer is lost), `drop` (neither), or `hang` (it takes the order, and answers once
`let_go` was called).
"""

import asyncio
import json
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
"""The header that proves a webhook: it says `right`."""

_EVERYTHING = Capabilities(webhook=True, signed=True, cancel=True, progress=True, find_submission=True)
_QUIET = TaskStatus("running", "drawing")


class FakeProvider:
    """Takes orders into `<folder>/orders`, and keeps how each task stands beside it."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "toy",
        capabilities: Capabilities = _EVERYTHING,
        poll_policy: PollPolicy | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.poll_policy = poll_policy or PollPolicy()
        self.reachable = True
        """Whether this process gets answers from it."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    # What a test says and sees

    def requests(self) -> list[dict[str, Any]]:
        """Return every order it took: its task's id, its mark, model, input and webhook."""
        return self._lines("orders")

    def cancelled(self) -> list[str]:
        """Return the ids of the tasks that it was asked to end."""
        return [line["id"] for line in self._lines("cancels")]

    def polls(self) -> int:
        """Return how often it was asked how a task stands."""
        return len(self._lines("looks"))

    def set_status(self, task_id: str, state: TaskState, status: str | None = None, **more: Any) -> None:
        """Say how a task stands from now on; `more` is what a Look has besides, and `files`, text by name."""
        self._write(f"{task_id}.json", {"state": state, "status": status or state, **more})

    def release(self) -> None:
        """Answer the orders that hang."""
        (self._folder / "let-go").touch()

    # What a provider does

    async def submit(self, order: SubmitRequest) -> Task:
        """Take an order as its input says."""
        how = order.input.get("submit", "accept")
        if how == "refuse":
            raise SubmissionRejected("The toy does not like the order.")
        if how == "busy":
            raise ProviderRateLimited("The toy is busy.", retry_after=0.01)
        if how == "drop":
            raise SubmissionUnknown("The connection broke.")
        task = Task(self.name, str(new_id()), {"model": order.model})
        line = {"id": task.id, "mark": order.client_reference, "model": order.model, "webhook": order.webhook}
        self._append("orders", line | {"input": {key: str(value) for key, value in order.input.items()}})
        if how == "lose":
            raise SubmissionUnknown("The connection broke.")
        if how == "hang":
            await until((self._folder / "let-go").exists, timeout=60)
        return task

    async def get_status(self, task: Task) -> TaskStatus:
        """Say how a task stands."""
        if not self.reachable:
            raise ProviderUnreachable("The toy does not answer.")
        self._append("looks", {"id": task.id})
        if all(order["id"] != task.id for order in self.requests()):
            return TaskStatus("lost", "unknown task")
        told = self._read(f"{task.id}.json")
        if told is None:
            return _QUIET
        files: dict[str, str] = told.pop("files", {})
        outputs = [Output(name=name, inline=text.encode()) for name, text in files.items()]
        return replace(_QUIET, **told, outputs=outputs)

    async def fetch(self, output: Output, target: Path) -> Path:
        """Write an output's text."""
        if output.inline is None:
            raise OutputExpired(f"The toy has no {output.name}.")
        await asyncio.to_thread(target.write_bytes, output.inline)
        return target

    async def cancel(self, task: Task) -> None:
        """End a task that has not ended."""
        if not self.reachable:
            raise ProviderUnreachable("The toy does not answer.")
        self._append("cancels", {"id": task.id})
        if not (await self.get_status(task)).ended:
            self.set_status(task.id, "cancelled")

    async def find_submission(self, order: SubmitRequest, since: datetime, others: Collection[str] = ()) -> Task | None:  # noqa: ARG002
        """Find an order by its mark."""
        if not self.reachable:
            raise ProviderUnreachable("The toy does not answer.")
        for line in self.requests():
            if line["mark"] == order.client_reference:
                return Task(self.name, line["id"], {"model": line["model"]})
        return None

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Read `{"id": …, "message": …, "status": …}`."""
        if headers.get(SIGNATURE) != "right":
            raise BadWebhook("The signature is not the toy's.")
        try:
            told = json.loads(body)
            return WebhookEvent(told["id"], told["message"], told["status"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadWebhook("That is no message of the toy's.") from error

    async def close(self) -> None:
        """Nothing is held."""

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        with (self._folder / name).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _lines(self, name: str) -> list[dict[str, Any]]:
        path = self._folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        draft = self._folder / f".{name}-{new_id()}"
        draft.write_text(json.dumps(value))
        draft.rename(self._folder / name)

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._folder / name
        value: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return value
