"""The manifest: a description of every operation, derived from its declaration."""

from callsheet.domain.queues import priority_of
from callsheet.domain.records import OperationRecord
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.contract import Operation


def manifest(catalog: Catalog) -> list[OperationRecord]:
    """Describe every operation."""
    return [describe(operation) for operation in catalog.operations()]


def describe(operation: Operation) -> OperationRecord:
    """Describe one operation: names, queue, limits, needs, and the schemas of params and result."""
    return OperationRecord(
        name=operation.name,
        aliases=sorted(operation.aliases),
        summary=operation.summary,
        queue=operation.queue,
        priority=priority_of(operation.queue) if operation.priority is None else operation.priority,
        timeout=operation.timeout.total_seconds(),
        attempts=operation.attempts,
        on_worker_lost=operation.on_worker_lost,
        needs=sorted(operation.needs),
        params_schema=operation.params.model_json_schema(),
        result_schema=operation.result.model_json_schema(mode="serialization"),
    )
