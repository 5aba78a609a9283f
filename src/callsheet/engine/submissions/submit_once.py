"""What one run orders of providers: each step at most once in the life of the job."""

import asyncio
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import structlog

from callsheet.db.database import FOREVER, Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import (
    BadInput,
    CallsheetError,
    InternalError,
    LeaseLost,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
    SubmissionUnknown,
)
from callsheet.domain.ids import new_id
from callsheet.domain.json_storage import storable_json
from callsheet.engine.jobs.snooze import ProviderWait, Snooze
from callsheet.engine.submissions.reconciler import SubmissionReconciler, accept, search_criteria
from callsheet.engine.uncancellable import run_uncancellable
from callsheet.operation.contract import OpenSubmission
from callsheet.providers.contract import InputFile, Provider, SubmitRequest, Task
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

_NOT_SUBMITTED = (SubmissionRejected, ProviderRateLimited, ProviderUnreachable, BadInput)
"""After these, certainly nothing was ordered."""
_ASKED_AGAIN = 0.05
"""Of the patience: how often a provider is asked for a lost order."""


@dataclass(frozen=True, slots=True)
class SentSubmission:
    """An order of this job that a provider has accepted."""

    submission: UUID
    task: Task
    webhook: bool
    sent_by_this_run: bool
    """Whether this run sent it."""


@dataclass(frozen=True, slots=True)
class _Submission:
    id: UUID
    provider: str
    model: str
    token: str | None
    begun_at: datetime
    outcome: str | None
    task: Task | None
    named_task: str | None
    evidence: dict[str, Any]
    age: float
    digest: str


class Submissions:
    """The orders of one run."""

    def __init__(self, job: ClaimedJob, database: Database, *, public_url: str | None, patience: float) -> None:
        """`patience` is how many seconds may pass until it is known whether an order was taken."""
        self._job = job
        self._database = database
        self._public_url = public_url
        self._patience = patience
        self._tokens: dict[str, str] = {}
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sent: dict[tuple[str, str], SentSubmission] = {}

    def webhook_url(self, provider: Provider, step: str) -> str | None:
        """Return the address for the order of a step; equal each time it is asked for in this run."""
        if self._public_url is None or not provider.capabilities.webhook:
            return None
        return self._webhook_address(self._tokens.setdefault(step, secrets.token_urlsafe(32)))

    def sent_submission(self, task: Task) -> SentSubmission:
        """Return the order that a task came of; raises InternalError for one that this run did not get by `order`."""
        try:
            return self._sent[task.provider, task.id]
        except KeyError:
            raise InternalError(f"The operation waits for the task {task.id}, which it did not order.") from None

    async def open_submission(self, step: str) -> OpenSubmission | None:
        """Return what stands open in a step, and be ready to wait for it."""
        found = await self._load_open(step)
        if found is None:
            return None
        self._remember(found, fresh=False)
        return OpenSubmission(found.provider, found.model, found.task)

    async def submit_once(self, provider: Provider, order: SubmitRequest, step: str) -> Task:
        """Send an order, unless it was sent before; see Context.order. Raises Waiting while it is being found out."""
        async with self._turns[step]:
            return await self._submit_once(provider, order, step)

    async def _submit_once(self, provider: Provider, order: SubmitRequest, step: str) -> Task:
        found = await self._load_open(step)
        fresh = found is None
        if found is None:
            await self._send_new(provider, order, step)
            found = await self._load_open(step)
        if found is not None and found.task is None:
            await self._reconcile(provider, order, step, found)
            found = await self._load_open(step)
        if found is None or found.task is None:
            # It was closed by hand, which is for jobs that nobody runs.
            raise LeaseLost()
        self._remember(found, fresh=fresh)
        return found.task

    def _remember(self, found: _Submission, *, fresh: bool) -> None:
        if found.task is not None:
            sent = SentSubmission(found.id, found.task, found.token is not None, fresh)
            self._sent[found.task.provider, found.task.id] = sent

    async def _send_new(self, provider: Provider, order: SubmitRequest, step: str) -> None:
        if order.webhook is not None and order.webhook != self.webhook_url(provider, step):
            raise InternalError(f"The order's webhook is not the one of its step '{step}'.")
        marked = replace(order, client_reference=str(new_id()))
        await self._begin(marked, provider, step)
        await run_uncancellable(self._send(marked, provider))

    async def _begin(self, order: SubmitRequest, provider: Provider, step: str) -> None:
        submission = UUID(order.client_reference)

        async def begin(connection: Connection) -> bool:
            begun = await sql.begin_submission(
                connection,
                id=submission,
                job=self._job.id,
                epoch=self._job.epoch,
                step=step,
                provider=provider.name,
                model=order.model,
                token=self._tokens[step] if order.webhook else None,
                request_digest=digest_of(order),
                search_criteria=search_criteria(order) if provider.capabilities.find_submission else None,
            )
            if begun:
                return True
            row = await sql.open_submission(connection, job=self._job.id, step=step)
            # The answer to our own first try may have been lost.
            return row is not None and row["id"] == submission

        if not await self._database.retry(begin, seconds=FOREVER):
            raise LeaseLost()

    async def _send(self, order: SubmitRequest, provider: Provider) -> None:
        submission = UUID(order.client_reference)
        try:
            task = await provider.submit(order)
        except _NOT_SUBMITTED as error:
            await self._record_rejected(submission, _evidence(error))
            raise
        except Exception as error:
            unforeseen = None if isinstance(error, SubmissionUnknown) else error
            log.warning("an order has no answer", job=str(self._job.id), provider=provider.name, exc_info=unforeseen)
            await self._mark_unknown(submission, _evidence(error))
        else:
            await self._record_accepted(submission, task)

    async def _reconcile(self, provider: Provider, order: SubmitRequest, step: str, found: _Submission) -> None:
        """Find out whether an order was taken; returns once that is known and stored.

        Raises Waiting when it may be known later, SubmissionUnknown when it will not.
        """
        if found.outcome is None:
            evidence = {"message": "Its sender ended before the answer came."}
            await self._mark_unknown(found.id, evidence)
            found = replace(found, evidence=evidence)
        if found.provider != provider.name:
            raise self._unknown_error(found, step, f"The step is to be ordered of {provider.name} now.")
        if found.named_task is not None:
            await self._record_accepted(found.id, Task(found.provider, found.named_task, {"model": found.model}))
            return
        seen = await SubmissionReconciler(self._database, provider).find(
            found.id, self._request_as_sent(order, found), found.begun_at
        )
        if seen is None:
            return
        if found.age < self._patience and (provider.capabilities.find_submission or found.token is not None):
            delay = self._patience * _ASKED_AGAIN if provider.capabilities.find_submission else self._patience
            raise Snooze(ProviderWait(found.id, found.provider, None, delay, self._patience))
        raise self._unknown_error(found, step, seen)

    def _request_as_sent(self, order: SubmitRequest, found: _Submission) -> SubmitRequest:
        webhook = None if found.token is None or self._public_url is None else self._webhook_address(found.token)
        return replace(order, client_reference=str(found.id), webhook=webhook)

    async def _record_accepted(self, submission: UUID, task: Task) -> None:
        await self._database.retry(lambda c: accept(c, submission, task), seconds=FOREVER)

    async def _record_rejected(self, submission: UUID, evidence: dict[str, Any]) -> None:
        stored = storable_json(evidence)
        await self._database.retry(lambda c: sql.reject_submission(c, id=submission, evidence=stored), seconds=FOREVER)

    async def _mark_unknown(self, submission: UUID, evidence: dict[str, Any]) -> None:
        stored = storable_json(evidence)
        await self._database.retry(
            lambda c: sql.mark_submission_unknown(c, id=submission, evidence=stored), seconds=FOREVER
        )

    async def _load_open(self, step: str) -> _Submission | None:
        row = await self._database.retry(lambda c: sql.open_submission(c, job=self._job.id, step=step), seconds=FOREVER)
        return None if row is None else _submission(row)

    def _webhook_address(self, token: str) -> str:
        return f"{self._public_url}/api/webhooks/job/{self._job.id}?token={token}"

    def _unknown_error(self, found: _Submission, step: str, seen: str) -> SubmissionUnknown:
        sent_at = found.begun_at.isoformat()
        return SubmissionUnknown(
            f"An order was sent to {found.provider} at {sent_at}, and whether it was taken is not known. It is not "
            "sent again by itself; look there, and retry with resubmit to order anew.",
            step=step,
            provider=found.provider,
            model=found.model,
            submission=str(found.id),
            sentAt=sent_at,
            digest=found.digest,
            seen=[text for text in (found.evidence.get("message"), seen) if text],
        )


def task_of(text: str) -> Task:
    """Read a task as it is stored."""
    value = orjson.loads(text)
    return Task(value["provider"], value["id"], value["handle"])


def digest_of(order: SubmitRequest) -> bytes:
    """Return what tells one request from another; files count by their name, type and size."""
    told = {"model": order.model, "version": order.version, "input": _digest_value(order.input)}
    return hashlib.sha256(orjson.dumps(told, default=str, option=orjson.OPT_SORT_KEYS)).digest()


def _digest_value(value: Any) -> Any:
    if isinstance(value, InputFile):
        return {"file": value.path.name, "mediaType": value.media_type, "size": value.path.stat().st_size}
    if isinstance(value, Mapping):
        return {str(key): _digest_value(item) for key, item in value.items()}
    return [_digest_value(item) for item in value] if isinstance(value, list | tuple) else value


def _evidence(error: Exception) -> dict[str, Any]:
    """Return what may be kept of an error: words of ours, or its kind alone."""
    kind = type(error).__name__
    return {"error": kind, "message": error.message if isinstance(error, CallsheetError) else kind}


def _submission(row: Any) -> _Submission:
    return _Submission(
        id=row["id"],
        provider=row["provider"],
        model=row["model"],
        token=row["token"],
        begun_at=row["begun_at"],
        outcome=row["outcome"],
        task=task_of(row["task"]) if row["task"] else None,
        named_task=row["named_task"],
        evidence=orjson.loads(row["evidence"]) if row["evidence"] else {},
        age=row["age"],
        digest=row["request_digest"].hex(),
    )
