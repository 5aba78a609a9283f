"""Submit plans: validate and store them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from callsheet.db.database import Connection, Database
from callsheet.db.outages import TRANSIENT_ERRORS, outage_reason
from callsheet.db.statements import sql
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import DatabaseUnavailable, PlanRefused, Problem
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import CheckedPlan, check_submission
from callsheet.engine.intake_messages import IntakeMessage, is_known_message
from callsheet.engine.jobs.budgets import Budgets, BudgetTurns, budgets_of, check_budgets
from callsheet.engine.jobs.cost_estimates import FREE
from callsheet.engine.jobs.execution_rows import ExecutionRows, insert_executions
from callsheet.engine.jobs.owners import Owner
from callsheet.engine.jobs.places import try_to_give_places
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.jobs.submission_writer import SubmissionWriter
from callsheet.operation_api.contract import Operation

_MAX_SIZE_ON_LOOP = 10_000
"""Bytes, roughly. Larger plans are validated in a thread, so that they do not block the event loop."""

_NOT_STORED = "{} The plan was not stored; submit it again in a moment."
_UNKNOWN = "The connection to the database was lost. Whether the plan was stored as execution {} is unknown."


@dataclass(frozen=True, slots=True)
class SubmittedPlan:
    """A stored execution."""

    execution_id: UUID
    is_duplicate: bool = False
    """The same submission was stored before, with the same idempotency key."""
    rows: ExecutionRows | None = None
    """The rows that were stored; None for a duplicate."""


async def submit(
    database: Database,
    submission: Submission,
    operations: Mapping[str, Operation],
    *,
    max_jobs: int,
    idempotency_key: str | None = None,
    other_problems: Sequence[Problem] = (),
    before_insert: Callable[[], Awaitable[object]] | None = None,
    reserved_for: UUID | None = None,
    message: IntakeMessage | None = None,
    run: PlanRun | None = None,
    checked: CheckedPlan | None = None,
    owner: Owner | None = None,
    monthly_budget: Decimal | None = None,
) -> SubmittedPlan:
    """Validate a plan and store it as an execution.

    With an idempotency key, a repeated submission returns the first execution. `other_problems` are problems that the
    caller found outside the plan; they are reported together with those of the plan. `before_insert` runs after the
    validation and before anything is stored. `reserved_for` is the id of a registered worker: while it is alive, no
    other worker runs the jobs. `message` is the message of an intake that the plan was made from: it is stored with the
    plan, and a message that is delivered again returns the first execution. `run` names the stored plan and the batch
    that the submission was made from. `checked` is the result of `check_submission` for this submission, with the
    values of its inputs inserted, if the caller has it already; else the plan is checked here. `owner` is the API key
    that the execution belongs to: at the limit of its executions, the new one waits for a place. `monthly_budget` is
    what all executions may cost in a month, in US dollars.

    Plans that are submitted together are stored by one statement; each caller gets its own result.

    Raises BudgetExceeded if the plan would exceed it, or the budget of the key; then nothing is stored.

    Raises IdempotencyConflict for the same key with a different submission, and PlanRefused with all problems of an
    invalid plan; then nothing is stored. Raises DatabaseUnavailable with the facts `execution_id` and `stored`: `no`,
    or `unknown` if the response of the database was lost and the execution cannot be found. With a key, it is raised
    after a minute of retries.
    """

    def validate() -> ExecutionRows:
        return _validated_rows(
            submission,
            operations,
            max_jobs,
            other_problems,
            idempotency_key=idempotency_key,
            reserved_for=reserved_for,
            message=message,
            run=run,
            checked=checked,
            owner=owner,
        )

    rows = await asyncio.to_thread(validate) if _blocks(submission, operations) else validate()
    if before_insert is not None:
        await before_insert()
    estimate = FREE if await _is_repeated(database, rows) else rows.estimate
    execution_id = await _store(database, rows, estimate, budgets_of(owner, monthly_budget))
    is_new = execution_id == rows.execution_id
    if owner is not None and owner.awaits_place:
        await try_to_give_places(database, owner.max_running_of_all)
    return SubmittedPlan(execution_id, is_duplicate=not is_new, rows=rows if is_new else None)


async def _is_repeated(database: Database, rows: ExecutionRows) -> bool:
    """Return whether a plan that costs something was stored before. Its repetition costs nothing more."""
    if not rows.estimate.is_paid:
        return False
    if rows.message is not None:
        message = rows.message
        return await database.retry(lambda c: is_known_message(c, message), timeout=10)
    if rows.idempotency_key is None:
        return False
    return bool(await database.retry(lambda c: sql.find_idempotency_keys(c, keys=[rows.idempotency_key]), timeout=10))


async def validate_submission(
    submission: Submission,
    operations: Mapping[str, Operation],
    *,
    max_jobs: int,
    other_problems: Sequence[Problem] = (),
) -> CostEstimate:
    """Validate a plan as `submit` does, and store nothing. Returns what it is expected to cost.

    Raises PlanRefused with all problems.
    """

    def validate() -> ExecutionRows:
        return _validated_rows(submission, operations, max_jobs, other_problems)

    rows = await asyncio.to_thread(validate) if _blocks(submission, operations) else validate()
    return rows.estimate


async def _store(database: Database, rows: ExecutionRows, estimate: CostEstimate, budgets: Budgets) -> UUID:
    """Store an execution. With an idempotency key, it is repeated while the database is unavailable."""
    writer = database.shared(SubmissionWriter)
    stored = "no"

    async def check(connection: Connection) -> None:
        await check_budgets(connection, estimate, budgets, what="the plan")

    async def write() -> UUID:
        if not estimate.is_paid or not budgets.are_limited:
            return await writer.store(rows)
        async with database.shared(BudgetTurns).lock:
            return await writer.store_alone(rows, check)

    async def store() -> UUID:
        nonlocal stored
        try:
            return await write()
        except DatabaseUnavailable as error:
            if error.facts["stored"] != "no":
                stored = "unknown"
            raise

    try:
        if rows.idempotency_key is None and rows.message is None:
            # Not repeated after a lost response: without a key, the plan could be stored twice.
            return await store()
        return await database.repeat(store)
    except TRANSIENT_ERRORS as error:
        if stored == "unknown" and await _is_stored(database, rows.execution_id):
            return rows.execution_id
        raise DatabaseUnavailable(
            _NOT_STORED.format(outage_reason(error)) if stored == "no" else _UNKNOWN.format(rows.execution_id),
            stored=stored,
            execution_id=str(rows.execution_id),
        ) from error


async def _is_stored(database: Database, execution_id: UUID) -> bool:
    """Return whether an execution exists. False also if the database does not respond within a few seconds."""
    try:
        return await database.retry(lambda c: sql.get_execution(c, id=execution_id), timeout=5) is not None
    except TRANSIENT_ERRORS:
        return False


async def submit_many(
    database: Database, submissions: Sequence[Submission], operations: Mapping[str, Operation], *, max_jobs: int
) -> list[UUID]:
    """Validate many plans and store them in one statement, all or none; for bulk loads. Returns the execution ids.

    Raises PlanRefused with all problems of the first invalid plan.
    """

    def validate() -> list[ExecutionRows]:
        return [_validated_rows(each, operations, max_jobs) for each in submissions]

    rows = await asyncio.to_thread(validate)
    async with database.connection() as connection:
        await insert_executions(connection, rows)
    return [each.execution_id for each in rows]


def _blocks(submission: Submission, operations: Mapping[str, Operation]) -> bool:
    """Return whether the validation would block the event loop: a large plan, or validators that read files."""
    jobs = submission.execution_plan.jobs
    if _is_large([submission.metadata, *(job.params for job in jobs)]):
        return True
    found = map(operations.get, {job.operation for job in jobs})
    return any(operation is not None and operation.blocking_validation for operation in found)


def _is_large(data: Any) -> bool:
    """Return whether data has more values, or longer texts, than are validated within a millisecond or so."""
    stack, size = [data], 0
    while stack and size <= _MAX_SIZE_ON_LOOP:
        value = stack.pop()
        size += 20 + (len(value) if isinstance(value, str) else 0)
        if isinstance(value, dict | list):
            size += len(value)
            stack.extend(value.values() if isinstance(value, dict) else value)
    return size > _MAX_SIZE_ON_LOOP


def _validated_rows(
    submission: Submission,
    operations: Mapping[str, Operation],
    max_jobs: int,
    other_problems: Sequence[Problem] = (),
    *,
    checked: CheckedPlan | None = None,
    **options: Any,
) -> ExecutionRows:
    try:
        filled = submission
        if checked is None:
            filled, checked = check_submission(submission, operations, max_jobs=max_jobs)
    except PlanRefused as refused:
        raise PlanRefused([*other_problems, *refused.problems], count=len(other_problems) + refused.count) from None
    if other_problems:
        raise PlanRefused([*other_problems])
    return ExecutionRows(filled, checked, operations, given=submission, **options)
