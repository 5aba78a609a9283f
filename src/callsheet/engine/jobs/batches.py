"""Batches: one execution for each row of a table of inputs, stored together, read and cancelled together."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from decimal import Decimal
from itertools import chain, product
from typing import Any
from uuid import UUID

import orjson
from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.costs import CostEstimate
from callsheet.domain.errors import (
    MAX_COUNTED_PROBLEMS,
    IdempotencyConflict,
    InvalidState,
    NotFound,
    PlanRefused,
    Problem,
)
from callsheet.domain.ids import new_id
from callsheet.domain.model import Model
from callsheet.domain.plan import Submission
from callsheet.domain.plan_validation import check_submission
from callsheet.domain.statuses import ExecutionStatus
from callsheet.engine.jobs.budgets import BudgetTurns, budgets_of, check_budgets
from callsheet.engine.jobs.execution_rows import ExecutionRows, insert_executions
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.engine.jobs.owners import NO_LIMITS, InstallationLimits, Owner, scoped_key
from callsheet.engine.jobs.places import try_to_give_places
from callsheet.engine.jobs.plan_runs import PlanRun
from callsheet.engine.jobs.retry import retry_execution
from callsheet.operation_api.contract import Operation
from callsheet.processes.plan_thread import in_plan_thread

MAX_ROWS = 10_000
"""Executions of a batch."""
MAX_JOBS = 100_000
"""Jobs of all executions of a batch."""
MAX_BYTES = 256 * 2**20
"""Stored size of all executions of a batch: shared inputs and long texts of the plan are stored with each."""
_GROUP = 200
"""Executions that one statement stores."""


class BatchCancellation(Model):
    """How far the cancellation of a batch is."""

    requested_at: datetime
    processed: int = Field(description="Rows of the batch whose executions are cancelled, or had ended before")
    total: int = Field(description="Rows of the batch")
    finished: bool = Field(description="Whether all are processed. Running jobs may still be stopping")


class Batch(Model):
    """Executions that one request made from a table of inputs."""

    id: UUID
    name: str | None
    plan_name: str | None = Field(description="Name of the stored plan; null: the plan was part of the request")
    plan_version: int | None
    size: int = Field(description="Number of executions that were stored")
    execution_counts: dict[ExecutionStatus, int] = Field(description="Number of executions by status")
    created_at: datetime
    cancellation: BatchCancellation | None = Field(None, description="The newest request to cancel the batch")


class BatchAction(Model):
    """What an action on a batch has done."""

    changed: int = Field(description="Executions that were retried")
    unchanged: int = Field(description="Executions that could not be, because they had started again meanwhile")


def combinations(matrix: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return one row for each combination of the values: a sweep. The last name varies fastest.

        combinations({"cfg": [4, 7], "seed": [1, 2]})  # 4 rows: cfg 4 with seed 1, cfg 4 with seed 2, …

    Raises PlanRefused for more than `MAX_ROWS`.
    """
    if not all(matrix.values()):
        return []
    size = 1
    for values in matrix.values():
        size *= len(values)
        if size > MAX_ROWS:  # the product of all lists can be too large to compute
            message = f"more than {MAX_ROWS:,} combinations; a batch may have at most that many executions"
            raise PlanRefused([Problem("matrix", "too_large", message)])
    return [dict(zip(matrix, values, strict=True)) for values in product(*matrix.values())]


async def submit_batch(
    database: Database,
    submission: Submission,
    rows: Sequence[Mapping[str, Any]],
    operations: Mapping[str, Operation],
    *,
    max_jobs: int,
    run: PlanRun | None = None,
    name: str | None = None,
    idempotency_key: str | None = None,
    other_problems: Sequence[Problem] = (),
    owner: Owner | None = None,
    monthly_budget: Decimal | None = None,
) -> tuple[Batch, bool]:
    """Store one execution for each row of inputs, all or none. Returns the batch, and whether it is new.

    `submission` has the plan and the inputs that all rows share; a row adds to them, and replaces them. `run` names the
    stored plan. With an idempotency key, a repeated request returns the first batch. `owner` is the API key that the
    executions belong to.

    Raises BudgetExceeded if it would exceed the budget of the key, or `monthly_budget`, that of all executions.

    Raises PlanRefused with all problems of all rows, as `inputs[3].brief`, and IdempotencyConflict.
    """
    digest = _digest(submission, rows, run, name)
    idempotency_key = scoped_key(owner, idempotency_key)
    if idempotency_key is not None:
        first = await database.retry(lambda c: sql.batch_by_key(c, key=idempotency_key), timeout=5)
        if first is not None:
            return await _first_batch(database, first, digest), False
    batch_id = new_id()
    executions = await in_plan_thread(
        _execution_rows, submission, rows, operations, max_jobs, run or PlanRun(), batch_id, other_problems, owner
    )

    async def store(connection: Connection) -> bool:
        stored = await sql.insert_batch(
            connection,
            id=batch_id,
            name=name,
            plan_name=None if run is None else run.plan_name,
            plan_version=None if run is None else run.plan_version,
            size=len(executions),
            key=idempotency_key,
            body_digest=digest,
        )
        if stored is None:
            return False
        for start in range(0, len(executions), _GROUP):
            await insert_executions(connection, executions[start : start + _GROUP])
        return True

    estimate, budgets = _sum_of(executions), budgets_of(owner, monthly_budget)
    turn = database.shared(BudgetTurns).lock if estimate.is_paid and budgets.are_limited else nullcontext()
    async with turn, database.transaction() as connection:
        await check_budgets(connection, estimate, budgets, what="the batch")
        is_new = await store(connection)
    if not is_new:
        first = await database.retry(lambda c: sql.batch_by_key(c, key=idempotency_key), timeout=5)
        return await _first_batch(database, first, digest), False
    if owner is not None and owner.awaits_place:
        await try_to_give_places(database, owner.max_running_of_all)
    return await get_batch(database, batch_id), True


def _sum_of(executions: Sequence[ExecutionRows]) -> CostEstimate:
    # Not as floats, whose sums are not exact.
    amount = sum(Decimal(str(each.estimate.amount)) for each in executions)
    return CostEstimate(
        amount=float(amount), unpriced_jobs=[job for each in executions for job in each.estimate.unpriced_jobs]
    )


async def get_batch(database: Database, batch_id: UUID) -> Batch:
    """Return a batch with the counts of its executions. Raises NotFound."""

    async def read(connection: Connection) -> list[Batch]:
        row = await sql.get_batch(connection, id=batch_id)
        return await _with_counts(connection, [] if row is None else [row])

    found = await database.retry(read, timeout=5)
    if not found:
        raise NotFound(f"There is no batch {batch_id}.")
    return found[0]


async def list_batches(database: Database, *, before: UUID | None, limit: int) -> list[Batch]:
    """Return one page of batches, newest first. `before` is the last id of the previous page."""

    async def read(connection: Connection) -> list[Batch]:
        return await _with_counts(connection, await sql.list_batches(connection, before=before, limit=limit))

    return await database.retry(read, timeout=5)


async def retry_batch(database: Database, batch_id: UUID, *, limits: InstallationLimits = NO_LIMITS) -> BatchAction:
    """Retry the failed and cancelled executions of a batch. Raises NotFound.

    Raises BudgetExceeded at the first one that would exceed a budget; those before it stay retried.

    Raises InvalidState while the batch is being cancelled.
    """
    batch = await get_batch(database, batch_id)
    if batch.cancellation is not None and not batch.cancellation.finished:
        done, total = batch.cancellation.processed, batch.cancellation.total
        raise InvalidState(f"The batch is being cancelled: {done:,} of {total:,}. Retry it when that has finished.")
    ended = [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED]
    rows = await database.retry(lambda c: sql.batch_executions(c, id=batch_id, statuses=ended), timeout=30)
    changed = 0
    for row in rows:
        try:
            await retry_execution(database, row["execution_id"], limits=limits)
        except (InvalidState, NotFound):  # it has ended, or was deleted, meanwhile
            continue
        changed += 1
    return BatchAction(changed=changed, unchanged=len(rows) - changed)


async def _first_batch(database: Database, row: Any, digest: bytes) -> Batch:
    if row["body_digest"] != digest:
        raise IdempotencyConflict()
    return await get_batch(database, row["id"])


async def _with_counts(connection: Connection, rows: Sequence[Any]) -> list[Batch]:
    counts: dict[UUID, dict[ExecutionStatus, int]] = defaultdict(dict)
    for each in await sql.batch_counts(connection, ids=[row["id"] for row in rows]):
        counts[each["batch_id"]][ExecutionStatus(each["status"])] = each["executions"]
    return [_batch(row, counts[row["id"]]) for row in rows]


def _batch(row: Any, counts: dict[ExecutionStatus, int]) -> Batch:
    facts = {name: value for name, value in row.items() if name in Batch.model_fields}
    return Batch(**facts, execution_counts=counts, cancellation=_cancellation(row))


def _cancellation(row: Any) -> BatchCancellation | None:
    if row["cancel_requested_at"] is None:
        return None
    following = row["cancel_next"]
    return BatchCancellation(
        requested_at=row["cancel_requested_at"],
        processed=row["size"] if following is None else following,
        total=row["size"],
        finished=following is None,
    )


def _execution_rows(
    submission: Submission,
    rows: Sequence[Mapping[str, Any]],
    operations: Mapping[str, Operation],
    max_jobs: int,
    run: PlanRun,
    batch_id: UUID,
    other_problems: Sequence[Problem],
    owner: Owner | None,
) -> list[ExecutionRows]:
    """Check all rows. CPU-bound."""
    problems = [*other_problems, *_size_problems(submission, len(rows))]
    if problems:
        raise PlanRefused(problems)
    executions: list[ExecutionRows] = []
    size = 0
    for position, row in enumerate(rows):
        given = submission.model_copy(update={"inputs": {**submission.inputs, **row}})
        try:
            filled, checked = check_submission(given, operations, max_jobs=max_jobs)
        except PlanRefused as refused:
            problems += _of_row(refused, position)
            if len(problems) > MAX_COUNTED_PROBLEMS:
                break
            continue
        origin = PlanRun(
            inputs=given.inputs,
            plan_name=run.plan_name,
            plan_version=run.plan_version,
            batch_id=batch_id,
            position=position,
        )
        executions.append(ExecutionRows(filled, checked, operations, run=origin, owner=owner))
        size += executions[-1].size
        if size > MAX_BYTES:
            message = f"the first {position + 1:,} rows need {size:,} bytes; a batch may need at most {MAX_BYTES:,}"
            problems.append(Problem("inputs", "too_large", message))
            break
    if problems:
        raise PlanRefused(problems)
    return executions


def _size_problems(submission: Submission, rows: int) -> Iterator[Problem]:
    jobs = rows * len(submission.execution_plan.jobs)
    if rows == 0:
        yield Problem("inputs", "empty", "a batch needs at least one row of inputs")
    if rows > MAX_ROWS:
        yield Problem("inputs", "too_large", f"{rows:,} rows; a batch may have at most {MAX_ROWS:,} executions")
    elif jobs > MAX_JOBS:
        yield Problem("inputs", "too_many_jobs", f"{jobs:,} jobs; a batch may have at most {MAX_JOBS:,}")


def _of_row(refused: PlanRefused, position: int) -> Iterator[Problem]:
    """Yield the problems of a row: `inputs.brief` is `inputs[3].brief`; others name the row in the message."""
    for problem in refused.problems:
        if problem.path.startswith("inputs."):
            path = f"inputs[{position}].{problem.path.removeprefix('inputs.')}"
            yield Problem(path, problem.code, problem.message)
        else:
            yield Problem(problem.path, problem.code, f"{problem.message} (with inputs[{position}])")


def _digest(submission: Submission, rows: Sequence[Mapping[str, Any]], run: PlanRun | None, name: str | None) -> bytes:
    try:
        sent = submission.model_dump(mode="json", exclude={"execution_plan"} if run is not None else None)
        whole = {"submission": sent, "rows": list(rows), "plan": None if run is None else run.requested, "name": name}
        return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).digest()
    except (TypeError, ValueError):
        # A lone surrogate, a number beyond 64 bits, or too many levels.
        if problems := [*_problems_of_values(submission, rows)]:
            raise PlanRefused(problems) from None
        raise


def _problems_of_values(submission: Submission, rows: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Yield a problem for each part of a batch that JSON cannot represent."""
    plan = submission.execution_plan.model_dump()
    parts = {"executionPlan": plan, "sharedInputs": submission.inputs, "metadata": submission.metadata}
    for path, value in chain(parts.items(), ((f"inputs[{position}]", row) for position, row in enumerate(rows))):
        try:
            validated_json(value, path)
        except PlanRefused as refused:
            yield from refused.problems
