"""Intakes: list the processes that take messages from other queues."""

from fastapi import APIRouter
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.domain.records import IntakeRecord
from callsheet.engine.reads.intakes import list_intakes

router = APIRouter(prefix="/api/intakes", tags=["intakes"])


class IntakeList(Model):
    """The intake processes."""

    intakes: list[IntakeRecord] = Field(description="By name; those without a heartbeat for a day are left out")


@router.get("", name="list_intakes", summary="List intakes", responses={**problem_responses(), 200: examples.intakes})
async def list_all_intakes(runtime: RuntimeDep) -> IntakeList:
    """Return the intake processes, with their open messages and the messages that wait in their sources."""
    return IntakeList(intakes=await list_intakes(runtime.database))
