"""What a run does about a task that it has ordered: it looks, and goes on or waits."""

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
    """The answers that one run gets."""

    def __init__(self, job: ClaimedJob, database: Database, providers: Mapping[str, Provider]) -> None:
        self._job = job
        self._database = database
        self._providers = providers

    async def wait_for_result(self, sent: SentSubmission) -> TaskStatus:
        """Return the last look at a task that has ended well.

        Raises Waiting until it has ended, ProviderFailed when it ended otherwise, TimedOut when its time is over.
        """
        provider = self._providers[sent.task.provider]
        if sent.sent_by_this_run:
            raise self._wait(provider, sent, looks=0)
        try:
            look = await provider.get_status(sent.task)
        except (ProviderUnreachable, ProviderRateLimited) as error:
            looks = await self._polls_so_far(provider, sent)
            raise self._wait(provider, sent, looks=looks, least=error.retry_after or 0) from error
        if not look.ended:
            looks = await self._polls_so_far(provider, sent)
            raise self._wait(provider, sent, looks=looks + 1, least=look.retry_after or 0, look=look)
        await self._ended(sent, look)
        return require_success(sent.task, look)

    def _wait(
        self, provider: Provider, sent: SentSubmission, *, looks: int, look: TaskStatus | None = None, least: float = 0
    ) -> Snooze:
        delay = max(least, next_poll_delay(provider, looks, webhook=sent.webhook))
        patience = provider.poll_policy.deadline.total_seconds()
        return Snooze(ProviderWait(sent.submission, provider.name, sent.task.id, delay, patience, look))

    async def _polls_so_far(self, provider: Provider, sent: SentSubmission) -> int:
        """Return how often the task was looked at; raises TimedOut when it was for long enough."""
        poll_policy = provider.poll_policy
        row = await self._database.retry(
            lambda c: sql.submission_time_left(
                c, job=self._job.id, submission=sent.submission, deadline=poll_policy.deadline.total_seconds()
            ),
            seconds=FOREVER,
        )
        if not row["overdue"] and row["looks"] < poll_policy.max_polls:
            return int(row["looks"])
        await self._database.retry(lambda c: sql.time_out_submission(c, id=sent.submission), seconds=FOREVER)
        raise TimedOut(
            f"{sent.task.provider} did not end the task within the time that it is given, and is told to end it.",
            provider=sent.task.provider,
            providerJobId=sent.task.id,
            looks=row["looks"],
        )

    async def _ended(self, sent: SentSubmission, look: TaskStatus) -> None:
        await self._database.retry(
            lambda c: sql.end_submission(
                c,
                id=sent.submission,
                epoch=self._job.epoch,
                ended=look.state,
                status=storable_text(look.status),
                cost=look.cost,
                seconds=look.seconds,
            ),
            seconds=FOREVER,
        )
