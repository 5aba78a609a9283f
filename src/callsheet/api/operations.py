"""Operations that this server knows."""

from fastapi import APIRouter
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.records import OperationRecord
from callsheet.operation_api.manifest import describe, manifest

router = APIRouter(prefix="/api/operations", tags=["operations"])


class OperationList(Model):
    """All operations of this server."""

    operations: list[OperationRecord] = Field(description="Sorted by name")


@router.get("", summary="List operations", responses={**problem_responses(), 200: examples.operations})
async def list_operations(runtime: RuntimeDep) -> OperationList:
    """Return every operation, with the JSON Schemas of its params and result."""
    return OperationList(operations=manifest(runtime.catalog))


@router.get("/{name}", summary="Read an operation", responses={**problem_responses(404), 200: examples.operation})
async def read_operation(name: str, runtime: RuntimeDep) -> OperationRecord:
    """Return an operation by its name or an alias."""
    operation = runtime.catalog.get(name)
    if operation is None:
        raise NotFound(f"There is no operation '{name}'.")
    return describe(operation)
