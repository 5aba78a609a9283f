"""Submit requests to providers, each step at most once in the life of a job."""

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
from callsheet.domain.json_storage import shown_json
from callsheet.engine.jobs.snooze import ProviderWait, Snooze, SubmissionHold
from callsheet.engine.submissions.reconciler import SubmissionReconciler, accept_submission, search_criteria
from callsheet.engine.uncancellable import run_uncancellable
from callsheet.metrics import catalog
from callsheet.metrics.changes import count
from callsheet.operation_api.contract import OpenSubmission
from callsheet.providers.contract import InputFile, Provider, SubmitRequest, Task
from callsheet.queue.claim import ClaimedJob

log = structlog.get_logger(__name__)

_CERTAINLY_NOT_ACCEPTED = (SubmissionRejected, ProviderRateLimited, ProviderUnreachable, BadInput)
"""Errors of `Provider.submit` that prove that the provider accepted nothing. Any other error proves nothing."""
_RECOVERY_POLL_FRACTION = 0.05
"""Interval between searches for a lost submission, as a fraction of the recovery timeout."""


@dataclass(frozen=True, slots=True)
class SentSubmission:
    """A submission of this job that its provider has accepted."""

    submission: UUID
    task: Task
    webhook: bool
    """Whether the provider was asked to send a webhook."""
    sent_by_this_run: bool


@dataclass(frozen=True, slots=True)
class _OpenRow:
    """An open row of the table `submissions`."""

    id: UUID
    provider: str
    model: str
    token: str | None
    created_at: datetime
    outcome: str | None
    """None: no response is stored. The request may or may not have been sent."""
    task: Task | None
    webhook_task_id: str | None
    evidence: dict[str, Any]
    age: float
    """Seconds."""
    digest: str


class Submissions:
    """The submissions of one run."""

    def __init__(
        self, job: ClaimedJob, database: Database, *, public_url: str | None, recovery_timeout: float, hold: bool
    ) -> None:
        """`recovery_timeout` limits the search for the task of a lost submission, in seconds from its creation.

        With `hold`, a submission is sent only after a person has released it.
        """
        self._job = job
        self._database = database
        self._public_url = public_url
        self._recovery_timeout = recovery_timeout
        self._hold = hold
        self._tokens: dict[str, str] = {}
        self._step_locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sent: dict[tuple[str, str], SentSubmission] = {}

    def webhook_url(self, provider: Provider, step: str) -> str | None:
        """Return the webhook URL for a step, the same at every call in this run. None without a public URL."""
        if self._public_url is None or not provider.capabilities.webhook:
            return None
        return self._webhook_url(self._tokens.setdefault(step, secrets.token_urlsafe(32)))

    def sent_submission(self, task: Task) -> SentSubmission:
        """Return the submission of a task. Raises InternalError if this run did not get the task from it."""
        try:
            return self._sent[task.provider, task.id]
        except KeyError:
            raise InternalError(f"The operation waits for the task {task.id}, which it did not submit.") from None

    async def open_submission(self, step: str) -> OpenSubmission | None:
        """Return the open submission of a step, if any. Afterwards this run can wait for its task."""
        found = await self._load_open(step)
        if found is None:
            return None
        self._remember(found, sent_now=False)
        return OpenSubmission(found.provider, found.model, found.task)

    async def submit_once(self, provider: Provider, request: SubmitRequest, step: str) -> Task:
        """Send a request unless its step already has a submission; see `Context.submit_once`.

        Raises Snooze while the outcome of a lost submission is being reconciled, and for a submission that is held.
        """
        async with self._step_locks[step]:
            return await self._submit_once(provider, request, step)

    async def _submit_once(self, provider: Provider, request: SubmitRequest, step: str) -> Task:
        found = await self._load_open(step)
        sent_now = found is None
        if found is None:
            await self._send_new(provider, request, step)
            found = await self._load_open(step)
        if found is not None and found.task is None:
            # Sent, by this run or an earlier one, without a stored response. Never send it again from here.
            await self._reconcile(provider, request, step, found)
            found = await self._load_open(step)
        if found is None or found.task is None:
            # A manual retry closed the submission. That happens only to jobs that are not running, so this run has
            # lost its job.
            raise LeaseLost()
        self._remember(found, sent_now=sent_now)
        return found.task

    def _remember(self, found: _OpenRow, *, sent_now: bool) -> None:
        if found.task is not None:
            sent = SentSubmission(found.id, found.task, found.token is not None, sent_now)
            self._sent[found.task.provider, found.task.id] = sent

    async def _send_new(self, provider: Provider, request: SubmitRequest, step: str) -> None:
        if request.webhook is not None and request.webhook != self.webhook_url(provider, step):
            raise InternalError(f"The webhook of the request does not belong to its step '{step}'.")
        if self._hold and not await self._is_released():
            raise Snooze(SubmissionHold(provider.name))
        request = replace(request, client_reference=str(new_id()))
        # The intent is committed first. If this process dies after that, the next run finds the row and reconciles it.
        await self._record_intent(request, provider, step)
        # Not cancellable: a cancel between sending and storing the response would lose a paid task.
        await run_uncancellable(self._send(request, provider))

    async def _is_released(self) -> bool:
        released: bool = await self._database.retry(lambda c: sql.is_released(c, job=self._job.id), timeout=FOREVER)
        return released

    async def _record_intent(self, request: SubmitRequest, provider: Provider, step: str) -> None:
        """Commit the submission before it is sent. Raises LeaseLost if it must not be sent by this run."""
        submission = UUID(request.client_reference)

        async def begin(connection: Connection) -> bool:
            begun = await sql.begin_submission(
                connection,
                id=submission,
                job=self._job.id,
                epoch=self._job.epoch,
                step=step,
                provider=provider.name,
                model=request.model,
                price=request.price,
                token=self._tokens[step] if request.webhook else None,
                request_digest=request_digest(request),
                search_criteria=search_criteria(request) if provider.capabilities.find_submission else None,
            )
            if begun:
                return True
            # An earlier try of this call may have been committed, and only its response was lost.
            row = await sql.open_submission(connection, job=self._job.id, step=step)
            return row is not None and row["id"] == submission

        if not await self._database.retry(begin, timeout=FOREVER):
            raise LeaseLost()

    async def _send(self, request: SubmitRequest, provider: Provider) -> None:
        submission = UUID(request.client_reference)
        try:
            task = await provider.submit(request)
        except _CERTAINLY_NOT_ACCEPTED as error:
            await self._record_rejected(submission, _evidence(error))
            count(catalog.SUBMISSIONS, provider.name, request.model, "rejected")
            raise
        except Exception as error:
            # Whatever it is, the provider may have accepted the request: the outcome is unknown.
            unexpected = None if isinstance(error, SubmissionUnknown) else error
            log.warning(
                "outcome of a submission is unknown",
                **self._job.log_facts,
                provider=provider.name,
                exc_info=unexpected,
            )
            await self._mark_unknown(submission, _evidence(error))
            count(catalog.SUBMISSIONS, provider.name, request.model, "unknown")
        else:
            await self._record_accepted(submission, task)
            count(catalog.SUBMISSIONS, provider.name, request.model, "accepted")
            log.info(
                "submitted to the provider",
                **self._job.log_facts,
                provider=provider.name,
                model=request.model,
                task=task.id,
            )

    async def _reconcile(self, provider: Provider, request: SubmitRequest, step: str, found: _OpenRow) -> None:
        """Find out whether a submission was accepted. Returns once its task is stored.

        Raises Snooze to try again later, and SubmissionUnknown when there is nothing left to try.
        """
        if found.outcome is None:
            evidence = {"message": "The sender died before the response arrived."}
            await self._mark_unknown(found.id, evidence)
            found = replace(found, evidence=evidence)
        if found.provider != provider.name:
            raise self._unknown_error(found, step, f"The operation now submits this step to {provider.name} instead.")
        if found.webhook_task_id is not None:
            # A webhook with the token of this submission names its task: it was accepted.
            task = Task(found.provider, found.webhook_task_id, {"model": found.model})
            await self._record_accepted(found.id, task)
            return
        reason = await SubmissionReconciler(self._database, provider).find(
            found.id, self._as_sent(request, found), found.created_at
        )
        if reason is None:
            return
        can_recover = provider.capabilities.find_submission or found.token is not None
        if found.age < self._recovery_timeout and can_recover:
            # A task list may lag, and a webhook may still arrive.
            delay = self._recovery_timeout
            if provider.capabilities.find_submission:
                delay *= _RECOVERY_POLL_FRACTION
            raise Snooze(ProviderWait(found.id, found.provider, None, delay, self._recovery_timeout))
        raise self._unknown_error(found, step, reason)

    def _as_sent(self, request: SubmitRequest, found: _OpenRow) -> SubmitRequest:
        """Return the request with the client reference and the webhook URL with which it was sent."""
        webhook = None if found.token is None or self._public_url is None else self._webhook_url(found.token)
        return replace(request, client_reference=str(found.id), webhook=webhook)

    async def _record_accepted(self, submission: UUID, task: Task) -> None:
        await self._database.retry(lambda c: accept_submission(c, submission, task), timeout=FOREVER)

    async def _record_rejected(self, submission: UUID, evidence: dict[str, Any]) -> None:
        stored = shown_json(evidence)
        await self._database.retry(lambda c: sql.reject_submission(c, id=submission, evidence=stored), timeout=FOREVER)

    async def _mark_unknown(self, submission: UUID, evidence: dict[str, Any]) -> None:
        stored = shown_json(evidence)
        await self._database.retry(
            lambda c: sql.mark_submission_unknown(c, id=submission, evidence=stored), timeout=FOREVER
        )

    async def _load_open(self, step: str) -> _OpenRow | None:
        row = await self._database.retry(lambda c: sql.open_submission(c, job=self._job.id, step=step), timeout=FOREVER)
        return None if row is None else _open_row(row)

    def _webhook_url(self, token: str) -> str:
        return f"{self._public_url}/api/webhooks/job/{self._job.id}?token={token}"

    def _unknown_error(self, found: _OpenRow, step: str, reason: str) -> SubmissionUnknown:
        sent_at = found.created_at.isoformat()
        return SubmissionUnknown(
            f"A request was sent to {found.provider} at {sent_at}, but it is unknown whether the provider accepted it. "
            "It is not sent again automatically. Check with the provider. To send it again, retry with resubmit.",
            step=step,
            provider=found.provider,
            model=found.model,
            submission=str(found.id),
            sentAt=sent_at,
            digest=found.digest,
            seen=[text for text in (found.evidence.get("message"), reason) if text],
        )


def read_task(text: str) -> Task:
    """Parse a stored task."""
    value = orjson.loads(text)
    return Task(value["provider"], value["id"], value["handle"])


def request_digest(request: SubmitRequest) -> bytes:
    """Return a SHA-256 digest that is equal for identical requests. Files count by name, media type and size."""
    content = {"model": request.model, "version": request.version, "input": _digest_value(request.input)}
    return hashlib.sha256(orjson.dumps(content, default=str, option=orjson.OPT_SORT_KEYS)).digest()


def _digest_value(value: Any) -> Any:
    if isinstance(value, InputFile):
        return {"file": value.path.name, "mediaType": value.media_type, "size": value.path.stat().st_size}
    if isinstance(value, Mapping):
        return {str(key): _digest_value(item) for key, item in value.items()}
    return [_digest_value(item) for item in value] if isinstance(value, list | tuple) else value


def _evidence(error: Exception) -> dict[str, Any]:
    """Return the storable facts of an error: the message of a Callsheet error, otherwise only the type.

    Messages of other errors may contain secrets.
    """
    kind = type(error).__name__
    return {"error": kind, "message": error.message if isinstance(error, CallsheetError) else kind}


def _open_row(row: Any) -> _OpenRow:
    return _OpenRow(
        id=row["id"],
        provider=row["provider"],
        model=row["model"],
        token=row["token"],
        created_at=row["created_at"],
        outcome=row["outcome"],
        task=read_task(row["task"]) if row["task"] else None,
        webhook_task_id=row["webhook_task_id"],
        evidence=orjson.loads(row["evidence"]) if row["evidence"] else {},
        age=row["age"],
        digest=row["request_digest"].hex(),
    )
