"""What the next clean-up deletes."""

from fastapi import APIRouter

from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.engine.retention.clean_up import CleanUp, preview_clean_up

router = APIRouter(prefix="/api/clean-up", tags=["schedules"])


@router.get(
    "",
    name="preview_clean_up",
    summary="Preview the clean-up",
    responses={
        **problem_responses(),
        200: {
            "description": "Done",
            "content": {"application/json": {"example": {"executions": 1200, "files": 3100, "bytes": 48318382080}}},
        },
    },
)
async def preview(runtime: RuntimeDep) -> CleanUp:
    """Return how many executions and files the clean-up would delete now, and their size in bytes.

    `POST /api/schedules/clean-up/run` starts it.
    """
    return await preview_clean_up(runtime.database, runtime.settings.retention)
