"""Wait for the task of a submission: poll it once, then return its result or snooze."""

from collections.abc import Mapping

from callsheet.db.database import FOREVER, Database
from callsheet.db.statements import sql
from callsheet.domain.errors import ProviderRateLimited, ProviderUnreachable, TimedOut
from callsheet.domain.json_storage import storable_text
from callsheet.engine.jobs.snooze import ProviderWait, Snooze
from callsheet.engine.submissions.poll_schedule import next_poll_delay
from callsheet.engine.submissions.submit_once import SentSubmission
from callsheet.providers.contract import Provider, TaskStatus
from callsheet.providers.task_result import require_success
from callsheet.queue.claim import ClaimedJob


class TaskAwaiter:
    """Waits for tasks on behalf of one run."""

    def __init__(self, job: ClaimedJob, database: Database, providers: Mapping[str, Provider]) -> None:
        self._job = job
        self._database = database
        self._providers = providers

    async def wait_for_result(self, sent: SentSubmission) -> TaskStatus:
        """Return the final status of a task that succeeded.

        Raises Snooze while the task has not ended, ProviderFailed if it did not succeed, and TimedOut after its
        deadline or its maximum number of polls.
        """
        provider = self._providers[sent.task.provider]
        if sent.sent_by_this_run:
            # A task never ends at once: the first poll is left to the poller.
            raise self._snooze(provider, sent, polls=0)
        try:
            status = await provider.get_status(sent.task)
        except (ProviderUnreachable, ProviderRateLimited) as error:
            polls = await self._polls_so_far(provider, sent)
            raise self._snooze(provider, sent, polls=polls, min_delay=error.retry_after or 0) from error
        if not status.ended:
            polls = await self._polls_so_far(provider, sent)
            raise self._snooze(provider, sent, polls=polls + 1, min_delay=status.retry_after or 0, status=status)
        await self._record_result(sent, status)
        return require_success(sent.task, status)

    def _snooze(
        self,
        provider: Provider,
        sent: SentSubmission,
        *,
        polls: int,
        status: TaskStatus | None = None,
        min_delay: float = 0,
    ) -> Snooze:
        delay = max(min_delay, next_poll_delay(provider, polls, webhook=sent.webhook))
        timeout = provider.poll_policy.deadline.total_seconds()
        return Snooze(ProviderWait(sent.submission, provider.name, sent.task.id, delay, timeout, status))

    async def _polls_so_far(self, provider: Provider, sent: SentSubmission) -> int:
        """Return how often the task has been polled. Raises TimedOut, and requests a cancel, if its time is up."""
        policy = provider.poll_policy
        row = await self._database.retry(
            lambda c: sql.submission_time_left(
                c, job=self._job.id, submission=sent.submission, deadline=policy.deadline.total_seconds()
            ),
            timeout=FOREVER,
        )
        if not row["overdue"] and (sent.webhook or row["polls"] < policy.max_polls):
            return int(row["polls"])
        await self._database.retry(lambda c: sql.time_out_submission(c, id=sent.submission), timeout=FOREVER)
        limit = "its deadline" if row["overdue"] else f"{policy.max_polls} polls (CALLSHEET_PROVIDER_POLL_MAX_ATTEMPTS)"
        raise TimedOut(
            f"{sent.task.provider} did not finish the task within {limit}; its cancellation was requested.",
            provider=sent.task.provider,
            providerJobId=sent.task.id,
            polls=row["polls"],
        )

    async def _record_result(self, sent: SentSubmission, status: TaskStatus) -> None:
        await self._database.retry(
            lambda c: sql.end_submission(
                c,
                id=sent.submission,
                epoch=self._job.epoch,
                ended=status.state,
                status=storable_text(status.status),
                cost=status.cost,
                seconds=status.seconds,
            ),
            timeout=FOREVER,
        )
