"""The client for programs without an event loop: each method runs that of `Client` in a thread with its own loop."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio.from_thread import start_blocking_portal

from callsheet.client.client import Client, ExecutionId, _ignore
from callsheet.client.plans import PlanLike
from callsheet.client.uploads import OnProgress, UploadedFile
from callsheet.domain.events import Event
from callsheet.domain.records import Execution, ExecutionSummary, PlanCheck, Receipt, StoredArtifact

T = TypeVar("T")


class SyncClient:
    """Client of a running server; the blocking form of `Client`, with the same methods, parameters and errors.

        with callsheet.SyncClient() as client:
            receipt = client.submit("plan.yaml")
            execution = client.wait(receipt.execution_id, timeout=600)

    It can be used by several threads, and inside a running event loop (such as a notebook), which it blocks.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        """Create a client, as `Client` does, and start its thread. Close it at the end, or use it in a `with` block."""
        self._client = Client(url, api_key, timeout=timeout, on_retry=on_retry)
        self._thread = ExitStack()
        self._portal = self._thread.enter_context(start_blocking_portal())

    @property
    def url(self) -> str:
        """URL of the server."""
        return self._client.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # Cancels what still runs in the thread, such as a request that Ctrl-C has interrupted.
            self._thread.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close all connections and end the thread."""
        self._portal.call(self._client.close)
        self._thread.close()

    def submit(self, plan: PlanLike, *, idempotency_key: str | None = None, **around: Any) -> Receipt:
        """Submit a plan and return its receipt, with the id of the execution."""
        return self._run(self._client.submit, plan, idempotency_key=idempotency_key, **around)

    def run_plan(
        self,
        name: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        idempotency_key: str | None = None,
        **around: Any,
    ) -> Receipt:
        """Run a stored plan with these inputs, and return the receipt of the execution."""
        return self._run(
            self._client.run_plan, name, inputs, version=version, idempotency_key=idempotency_key, **around
        )

    def check(self, plan: PlanLike) -> PlanCheck:
        """Validate a plan or a submission as `submit` does, and store nothing."""
        return self._run(self._client.check, plan)

    def status(self, execution_id: ExecutionId) -> Execution:
        """Return an execution with its jobs and artifacts."""
        return self._run(self._client.status, execution_id)

    def watch(self, execution_id: ExecutionId, *, after: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """Yield the events of an execution, each once and in order, until its end."""
        return self._iterate(self._client.watch(execution_id, after=after, timeout=timeout))

    def wait(self, execution_id: ExecutionId, *, timeout: float | None = None) -> Execution:
        """Wait until an execution has ended and return it."""
        return self._run(self._client.wait, execution_id, timeout=timeout)

    def cancel(self, execution_id: ExecutionId, *, job: str | None = None) -> None:
        """Cancel an execution, or one job by its id in the plan."""
        self._run(self._client.cancel, execution_id, job=job)

    def retry(self, execution_id: ExecutionId, *, job: str | None = None, resubmit: bool = False) -> None:
        """Run failed, cancelled and skipped jobs again, or one job by its id in the plan."""
        self._run(self._client.retry, execution_id, job=job, resubmit=resubmit)

    def upload(self, file: Path | str, *, on_progress: OnProgress = _ignore) -> UploadedFile:
        """Upload a file. `source` of the result names it in a plan."""
        return self._run(self._client.upload, file, on_progress=on_progress)

    def download(
        self, execution_id: ExecutionId, folder: Path | str, *, job: str | None = None, name: str | None = None
    ) -> list[Path]:
        """Download the files of an execution to `<job>/<name>` in a folder, and return their paths."""
        return self._run(self._client.download, execution_id, folder, job=job, name=name)

    def download_artifact(
        self, artifact: StoredArtifact, target: Path | str, *, on_progress: OnProgress = _ignore
    ) -> bool:
        """Download one file to the path `target`. Return False if it was there already."""
        return self._run(self._client.download_artifact, artifact, target, on_progress=on_progress)

    def list_executions(
        self,
        *,
        status: Iterable[str] | None = None,
        search: str | None = None,
        created_after: datetime | None = None,
    ) -> Iterator[ExecutionSummary]:
        """Yield executions, newest first, page by page."""
        return self._iterate(self._client.list_executions(status=status, search=search, created_after=created_after))

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request to any route and return the JSON of the response."""
        return self._run(self._client.request, method, path, **options)

    def _run(self, method: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        return self._portal.call(partial(method, *arguments, **named))

    def _iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        end = object()

        async def next_item() -> T | object:
            return await anext(items, end)

        try:
            while (item := self._portal.call(next_item)) is not end:
                yield item  # type: ignore[misc]
        except GeneratorExit:
            self._portal.call(items.aclose)
            raise
