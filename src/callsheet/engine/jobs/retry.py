"""Manual retries of executions and jobs."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.events import ReasonData
from callsheet.domain.retry_policy import RetryState, jobs_to_retry
from callsheet.domain.statuses import EXECUTION_ENDED, JobStatus, actions_from
from callsheet.engine.jobs.budgets import Budgets, check_budgets
from callsheet.engine.jobs.changes import Changes
from callsheet.engine.jobs.cost_estimates import FREE
from callsheet.engine.jobs.owners import NO_LIMITS, InstallationLimits
from callsheet.engine.jobs.places import try_to_give_places

_REASON = "manual retry"
_UNPRICED = "*"
"""Stands for the jobs of an execution whose cost is not known."""


async def retry_execution(
    database: Database, execution_id: UUID, *, resubmit: bool = False, limits: InstallationLimits = NO_LIMITS
) -> int:
    """Run every job again that failed, was cancelled or was skipped. Succeeded jobs keep their results.

    An execution that had ended counts for the limits of its API key, and of all keys (`limits`), as a new one does: it
    waits for a place, and BudgetExceeded is raised if the rest of its estimate would exceed a budget.

    A submission whose task may still succeed, or whose outcome is unknown, is not sent again. `resubmit` sends it
    again, and also repeats once-only steps of unknown outcome: the provider may charge twice.
    Returns the number of jobs that run again. Raises NotFound, or InvalidState if no job can be retried.
    """

    return await _retry(
        database, lambda c: retry_execution_in(c, execution_id, resubmit=resubmit, limits=limits), limits
    )


async def retry_execution_in(
    connection: Connection, execution_id: UUID, *, resubmit: bool = False, limits: InstallationLimits = NO_LIMITS
) -> int:
    """Do what `retry_execution` does, in the transaction of a connection."""
    execution = await sql.execution_to_change(connection, id=execution_id)
    if execution is None:
        raise NotFound(f"There is no execution {execution_id}.")
    jobs = await _select_jobs(connection, execution_id, None)
    if not jobs:
        raise InvalidState(f"The execution is {execution['status']}; it has no job that can be retried.")
    return await _reset(connection, execution, jobs, resubmit, limits)


async def retry_job(
    database: Database, job_id: UUID, *, resubmit: bool = False, limits: InstallationLimits = NO_LIMITS
) -> int:
    """Run one job again, with the failed upstream jobs that it needs and the jobs that were skipped because of it.

    `resubmit` and `limits` as for `retry_execution`. Returns the number of jobs that run again. Raises NotFound,
    BudgetExceeded, or InvalidState if the job cannot be retried in its status.
    """

    async def retry(connection: Connection) -> int:
        row = await sql.execution_of_job(connection, id=job_id)
        if row is None:
            raise NotFound(f"There is no job {job_id}.")
        execution = await sql.execution_to_change(connection, id=row["execution_id"])
        job = await sql.get_job(connection, id=job_id)
        if "retry" not in actions_from(JobStatus(job["status"])):
            raise InvalidState(f"The job is {job['status']} and cannot be retried now.")
        jobs = await _select_jobs(connection, row["execution_id"], job_id)
        return await _reset(connection, execution, jobs, resubmit, limits)

    return await _retry(database, retry, limits)


async def _retry(database: Database, retry: Callable[[Connection], Awaitable[int]], limits: InstallationLimits) -> int:
    jobs = await database.retry(retry, transaction=True)
    await try_to_give_places(database, limits.max_running)
    return jobs


async def _select_jobs(connection: Connection, execution_id: UUID, only: UUID | None) -> list[UUID]:
    rows = await sql.retry_states(connection, execution_id=execution_id)
    jobs = {row["id"]: RetryState(JobStatus(row["status"]), row["continue_on_failure"]) for row in rows}
    edges = await sql.edges_of_execution(connection, execution_id=execution_id) if only else []
    return list(jobs_to_retry(jobs, [(edge["upstream"], edge["downstream"]) for edge in edges], only))


async def _reset(
    connection: Connection, execution: Any, jobs: list[UUID], resubmit: bool, limits: InstallationLimits
) -> int:
    awaits_place = await _start_again(connection, execution, jobs if resubmit else [], limits)
    if resubmit:
        await sql.clear_once_steps(connection, jobs=jobs)
    await sql.close_submissions(connection, jobs=jobs, resubmit=resubmit)
    # The retry wants the task of a submission of unknown outcome, if it exists: do not cancel it.
    await sql.withdraw_provider_cancel(connection, jobs=jobs)
    changes = Changes()
    if execution["status"] in EXECUTION_ENDED and execution["started_at"] is not None and not awaits_place:
        changes.add_execution_status(execution["id"], "running", ReasonData(reason=_REASON))
    rows = await sql.reset_jobs(connection, ids=jobs, awaits_place=awaits_place)
    for row in rows:
        if row["status"] == "pending":
            changes.add_status(row, "pending", ReasonData(reason=_REASON))
        else:
            changes.add_ready(row, _REASON)
    await sql.recount_execution(connection, id=execution["id"], awaits_place=awaits_place)
    await changes.record(connection)
    return len(rows)


async def _start_again(
    connection: Connection, execution: Any, again: Sequence[UUID], limits: InstallationLimits
) -> bool:
    """Return whether a retried execution waits for a place. Raises BudgetExceeded.

    `again` are the jobs that are submitted again: what they have cost is spent, and may be spent once more.
    """
    has_ended = execution["status"] in EXECUTION_ENDED
    if not has_ended and not again:
        return bool(execution["awaits_place"])  # it has its place and its reservation, or waits already
    of_key = await sql.limits_of_execution(connection, id=execution["id"], again=again)
    await _reserve(connection, execution, of_key, limits, has_ended=has_ended)
    if not has_ended:
        return bool(execution["awaits_place"])
    is_limited = of_key["max_running"] is not None or limits.max_running is not None
    return of_key["api_key"] is not None and is_limited


async def _reserve(
    connection: Connection, execution: Any, of_key: Any, limits: InstallationLimits, *, has_ended: bool
) -> None:
    """Raise BudgetExceeded if what a retry may cost exceeds a budget; else reserve it.

    An execution that has not ended has the rest of its estimate reserved already.
    """
    estimated, cost_again = of_key["estimated_cost"], of_key["cost_again"]
    if estimated is None or (not has_ended and not cost_again):
        return
    rest = max(Decimal(0), estimated - of_key["cost"] + cost_again) if has_ended else cost_again
    is_free = rest == 0 and estimated > 0
    budgets = Budgets(of_key["api_key"], of_key["monthly_budget"], limits.monthly_budget)
    estimate = FREE if is_free else CostEstimate(amount=float(rest), unpriced_jobs=[] if rest else [_UNPRICED])
    await check_budgets(connection, estimate, budgets, what="the rest of the execution")
    if cost_again:
        await sql.raise_estimate(connection, id=execution["id"], amount=cost_again)
