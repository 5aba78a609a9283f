"""What a plan is expected to cost at providers."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from callsheet.domain.costs import CostEstimate
from callsheet.domain.plan import Plan
from callsheet.operation_api.contract import Operation

_MILLIONTH = Decimal("0.000001")


def estimate_costs(plan: Plan, operations: Mapping[str, Operation]) -> CostEstimate:
    """Return the sum over the jobs, and the jobs whose cost is not known. Reads files: the models and the prices."""
    amount, unpriced, paid = Decimal(0), [], False
    for job in plan.jobs:
        operation = operations.get(job.operation)
        if operation is None or operation.estimate_cost is None or operation.validation_context is None:
            continue
        cost = operation.estimate_cost(job.params, operation.validation_context).dollars
        if cost is None:
            unpriced.append(job.id)
        else:
            amount += cost
        paid = paid or cost is None or cost > 0
    if not paid:
        return FREE
    # Up: what costs less than a millionth of a dollar is not free.
    return CostEstimate(amount=float(amount.quantize(_MILLIONTH, ROUND_CEILING)), unpriced_jobs=unpriced)


FREE = CostEstimate(amount=0, unpriced_jobs=[])
"""The estimate of a plan without jobs at providers."""
