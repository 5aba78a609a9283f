"""The asynchronous client."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from callsheet.client.downloads import download_file
from callsheet.client.errors import is_temporary
from callsheet.client.event_stream import follow_events
from callsheet.client.http import HttpApi
from callsheet.client.plans import PlanLike, read_submission_body
from callsheet.client.settings import find_server
from callsheet.client.uploads import OnProgress, UploadedFile, upload_file
from callsheet.client.url_paths import path_part
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import CallsheetError, NotFound
from callsheet.domain.events import Event
from callsheet.domain.model import Model
from callsheet.domain.records import Execution, ExecutionSummary, PlanCheck, Receipt, StoredArtifact
from callsheet.files.output_paths import output_paths

_SUBMIT_DELAYS = (0.5, 1.0, 2.0)
"""Seconds before each retry of a submission."""
_PAGE_SIZE = 100

M = TypeVar("M", bound=Model)
ExecutionId = UUID | str

log = logging.getLogger("callsheet.client")


def _ignore(_: int) -> None:
    """Receive progress that nothing shows."""


class Client:
    """Client of a running server.

        async with callsheet.Client() as client:
            receipt = await client.submit({"jobs": [{"id": "probe", "operation": "probe", "params": {"src": url}}]})
            async for event in client.watch(receipt.execution_id):
                print(event.type, event.data)

    Errors of the server are exceptions: PlanRefused, NotFound, InvalidState, Unauthorized, … with its message and all
    `problems`, RequestFailed for those without a class, and Unreachable without a response.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        """Create a client, without a connection.

        Without `url` and `api_key`, they come from `CALLSHEET_URL`, `CALLSHEET_API_KEY` or `CALLSHEET_API_KEY_FILE`,
        from the environment or the file `.env`. `timeout` is the time limit of a request in seconds. `on_retry` gets a
        message when a request is repeated; without it, the message is logged.

        Raises ConfigurationError for settings that cannot be read, and for a key that cannot be sent.
        """
        self._api = HttpApi(*find_server(url, api_key), timeout)
        self._on_retry = on_retry or log.warning

    @property
    def url(self) -> str:
        """URL of the server."""
        return self._api.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def submit(self, plan: PlanLike, *, idempotency_key: str | None = None, **around: Any) -> Receipt:
        """Submit a plan and return its receipt, with the id of the execution.

        `plan` is a plan or a submission: a dictionary, a typed object, or the path of a JSON or YAML file. `around` are
        fields of the submission: `callbackUrl`, `metadata`, `priority`. The request is repeated when the connection
        breaks or the server is busy. It always has an idempotency key, so the plan is stored once.

        Raises PlanRefused with every problem of the plan, and IdempotencyConflict for a key of another plan.
        """
        body = {**await asyncio.to_thread(read_submission_body, plan), **around}
        return await self._submit("/api/executions", body, idempotency_key)

    async def run_plan(
        self,
        name: str,
        inputs: Mapping[str, Any] | None = None,
        *,
        version: int | None = None,
        idempotency_key: str | None = None,
        **around: Any,
    ) -> Receipt:
        """Run a stored plan with these inputs, and return the receipt of the execution.

            receipt = await client.run_plan("ad", {"brief": "A lamp that never needs a bulb"})

        Without `version`, its newest version runs. The request is repeated as that of `submit`. Raises NotFound for an
        unknown plan, and PlanRefused with every problem of the inputs.
        """
        body = {"inputs": dict(inputs or {}), "version": version, **around}
        return await self._submit(f"/api/plans/{path_part('name', name)}/runs", body, idempotency_key)

    async def _submit(self, path: str, body: dict[str, Any], idempotency_key: str | None) -> Receipt:
        headers = {"Idempotency-Key": idempotency_key or f"client-{uuid4()}"}
        for delay in _SUBMIT_DELAYS:
            try:
                return _read(Receipt, await self.request("POST", path, json=body, headers=headers))
            except CallsheetError as error:
                if not is_temporary(error):
                    raise
                self._on_retry(f"{error.message} Retrying in {delay:g} s …")
            await asyncio.sleep(delay)
        return _read(Receipt, await self.request("POST", path, json=body, headers=headers))

    async def check(self, plan: PlanLike) -> PlanCheck:
        """Validate a plan or a submission as `submit` does, and store nothing. The result lists every problem."""
        body = await asyncio.to_thread(read_submission_body, plan)
        return _read(PlanCheck, await self.request("POST", "/api/plans/check", json=body))

    async def status(self, execution_id: ExecutionId) -> Execution:
        """Return an execution with its jobs and artifacts. Raises NotFound."""
        return _read(Execution, await self.request("GET", f"/api/executions/{execution_id}"))

    def watch(
        self, execution_id: ExecutionId, *, after: int = 0, timeout: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of an execution with a greater number than `after`, each once and in order, until its end.

        A lost connection is resumed without a gap. Raises WaitTimeout after `timeout` seconds, NotFound, and
        Unreachable if the server does not respond for a minute.
        """
        return follow_events(self._api, str(execution_id), after=after, timeout=timeout, on_retry=self._on_retry)

    async def wait(self, execution_id: ExecutionId, *, timeout: float | None = None) -> Execution:
        """Wait until an execution has ended and return it. `status` says whether it succeeded. Raises as `watch`."""
        async for _ in self.watch(execution_id, timeout=timeout):
            pass
        return await self.status(execution_id)

    async def cancel(self, execution_id: ExecutionId, *, job: str | None = None) -> None:
        """Cancel an execution, or one job by its id in the plan. Running jobs are stopped.

        Raises NotFound, and InvalidState if it has ended otherwise.
        """
        await self.request("POST", f"{await self._target(execution_id, job)}/cancel")

    async def retry(self, execution_id: ExecutionId, *, job: str | None = None, resubmit: bool = False) -> None:
        """Run failed, cancelled and skipped jobs again, or one job by its id in the plan.

        `resubmit` also repeats once steps, such as paid submissions, whose outcome is unknown. Raises NotFound, and
        InvalidState if there is nothing to retry.
        """
        await self.request("POST", f"{await self._target(execution_id, job)}/retry", json={"resubmit": resubmit})

    async def _target(self, execution_id: ExecutionId, job: str | None) -> str:
        if job is None:
            return f"/api/executions/{execution_id}"
        jobs = {each.job_id: each.id for each in (await self.status(execution_id)).jobs}
        if job not in jobs:
            raise NotFound(f"The execution has no job '{job}'{did_you_mean(job, jobs) or '.'}")
        return f"/api/jobs/{jobs[job]}"

    async def upload(self, file: Path | str, *, on_progress: OnProgress = _ignore) -> UploadedFile:
        """Upload a file. `source` of the result names it in a plan. A file that the server has is not sent again.

        The upload continues after a cut. `on_progress` gets the number of bytes that the server has. Raises OSError,
        TooLarge and QuotaExceeded.
        """
        return await upload_file(self._api, Path(file), on_progress)

    async def download(
        self, execution_id: ExecutionId, folder: Path | str, *, job: str | None = None, name: str | None = None
    ) -> list[Path]:
        """Download the files of an execution to `<job>/<name>` in a folder, and return their paths.

        `job` selects the files of a job and its child jobs, `name` those of a name; `*` and `?` match any characters.
        Each file is verified by its SHA-256 and appears complete or not at all. Files that are there are not downloaded
        again. Raises NotFound for an unknown execution, and DamagedDownload.
        """
        artifacts = (await self.status(execution_id)).artifacts
        paths = output_paths((a.artifact_id, a.job_id, a.name) for a in artifacts)
        found = [(a, Path(folder) / paths[a.artifact_id]) for a in _selected(artifacts, job, name)]
        for artifact, target in found:
            await self.download_artifact(artifact, target)
        return [target for _, target in found]

    async def download_artifact(
        self, artifact: StoredArtifact, target: Path | str, *, on_progress: OnProgress = _ignore
    ) -> bool:
        """Download one file to the path `target`. Return False if it was there already.

        `on_progress` gets the number of bytes that have arrived.
        """
        return await download_file(self._api, artifact, Path(target), on_progress)

    async def list_executions(
        self,
        *,
        status: Iterable[str] | None = None,
        search: str | None = None,
        created_after: datetime | None = None,
    ) -> AsyncGenerator[ExecutionSummary, None]:
        """Yield executions, newest first, page by page.

        `status` are statuses, `search` is text in the name or the metadata or a complete id.
        """
        cursor: str | None = None
        while True:
            filters = {
                "status": None if status is None else list(status),
                "search": search,
                "createdAfter": None if created_after is None else created_after.isoformat(),
                "limit": _PAGE_SIZE,
                "cursor": cursor,
            }
            query = {key: value for key, value in filters.items() if value is not None}
            page = await self.request("GET", "/api/executions", params=query)
            for each in page["executions"]:
                yield _read(ExecutionSummary, each)
            cursor = page["nextCursor"]
            if cursor is None:
                return

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request to any route and return the JSON of the response. `options` are those of httpx."""
        return await self._api.request(method, path, **options)


def _read(kind: type[M], data: Any) -> M:
    """Return a record of the server. Fields of a newer server are ignored."""
    return kind.model_validate(data, extra="ignore")


def _selected(artifacts: list[StoredArtifact], job: str | None, name: str | None) -> list[StoredArtifact]:
    return [
        artifact
        for artifact in artifacts
        if (job is None or artifact.job_id == job or artifact.job_id.startswith(f"{job}/"))
        and (name is None or fnmatchcase(artifact.name, name))
    ]
