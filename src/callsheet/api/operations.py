"""Operations: the manifest of what can be done here."""

from fastapi import APIRouter
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import HouseDep
from callsheet.api.problems import answers
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.records import OperationRecord
from callsheet.operation.manifest import describe, manifest

router = APIRouter(prefix="/api/operations", tags=["operations"])


class OperationList(Model):
    """The capabilities manifest."""

    operations: list[OperationRecord] = Field(description="By name")


@router.get("", summary="List operations", responses={**answers(), 200: examples.operations})
async def list_operations(house: HouseDep) -> OperationList:
    """Every operation, with the schemas of what goes in and what comes out."""
    return OperationList(operations=manifest(house.catalog))


@router.get("/{name}", summary="Read an operation", responses={**answers(404), 200: examples.operation})
async def read_operation(name: str, house: HouseDep) -> OperationRecord:
    """One operation, by its name or an alias."""
    operation = house.catalog.get(name)
    if operation is None:
        raise NotFound(f"There is no operation '{name}'.")
    return describe(operation)
