"""Providers: submissions that are held until a person releases them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import Field, model_validator

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.engine.submissions.held import (
    HeldSubmission,
    list_held_submissions,
    release_all_submissions,
    release_submissions,
)

router = APIRouter(prefix="/api/providers", tags=["providers"])

_MAX_LISTED = 1000
_MAX_IDS = 1000


class HeldSubmissionList(Model):
    """Held submissions."""

    submissions: list[HeldSubmission] = Field(description=f"The longest wait first, at most {_MAX_LISTED}")


class Release(Model):
    """Which submissions to release: those of executions and jobs, or all that are held now."""

    ids: list[UUID] = Field(
        default_factory=list,
        max_length=_MAX_IDS,
        description="Ids of executions, or record ids of jobs. Their later submissions are released as well",
    )
    all: bool = Field(False, description="All submissions that are held now")
    provider: str | None = Field(None, description="With `all`: only those to this provider")

    @model_validator(mode="after")
    def _check_one(self) -> "Release":
        if bool(self.ids) == self.all:
            raise ValueError("set either ids, or all to true")
        if self.provider is not None and not self.all:
            raise ValueError("provider goes with all")
        return self


class Released(Model):
    """What was released."""

    released: int = Field(description="Number of held submissions that a worker sends now")


@router.get(
    "/held",
    name="list_held_submissions",
    summary="List held submissions",
    responses={**problem_responses(), 200: examples.held_submissions},
)
async def list_held(runtime: RuntimeDep) -> HeldSubmissionList:
    """Return the jobs whose submission to a provider is held, because a worker runs with HOLD_SUBMISSIONS."""
    return HeldSubmissionList(submissions=await list_held_submissions(runtime.database, limit=_MAX_LISTED))


@router.post(
    "/release",
    name="release_submissions",
    summary="Release held submissions",
    responses={**problem_responses(404, 422), 200: examples.released},
)
async def release(what: Annotated[Release, Body(openapi_examples=examples.releases)], runtime: RuntimeDep) -> Released:
    """Release submissions, so that workers send them. A provider may charge for each."""
    if what.all:
        return Released(released=await release_all_submissions(runtime.database, what.provider))
    return Released(released=await release_submissions(runtime.database, what.ids))
