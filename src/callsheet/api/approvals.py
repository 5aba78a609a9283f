"""Approvals: list and read what jobs ask people, and decide it."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import Field

from callsheet.api import examples_approvals as examples
from callsheet.api.cursors import Cursor, Limit, decode_cursor, page_of
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.approvals import Approval, ApprovalStatus, Comment, PersonName
from callsheet.domain.model import Model
from callsheet.engine.jobs.approvals import Decision, decide_approval
from callsheet.engine.reads.approvals import get_approval, list_approvals
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/approvals", tags=["approvals"])


class ApprovalPage(Model):
    """A page of approvals."""

    approvals: list[Approval] = Field(description="Newest first")
    next_cursor: str | None = Field(description="Cursor of the next page; null: this is the last page")


class DecisionRequest(Model):
    """Who decides, and why."""

    by: PersonName = Field(description="Name of the person who decides", examples=["Mia"])
    comment: Comment | None = Field(None, description="Why, for people and for later jobs")
    how: Literal["api", "cli"] = Field("api", description="Where the decision was made")


_Decision = Annotated[DecisionRequest, Body(openapi_examples=examples.decisions)]


@router.get(
    "",
    name="list_approvals",
    summary="List approvals",
    responses={**problem_responses(400, 422), 200: examples.approval_page},
)
async def list_all(
    runtime: RuntimeDep,
    status: Annotated[ApprovalStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ApprovalPage:
    """Return a page of approvals, newest first. `status=open` are those that wait for a decision."""
    before = decode_cursor(runtime.key, cursor) if cursor else None
    found = await list_approvals(
        runtime.database, status, runtime.sign, runtime.link_approval, before=before, limit=limit + 1
    )
    page, more = page_of(runtime.key, found, limit, lambda approval: approval.id)
    return ApprovalPage(approvals=page, next_cursor=more)


@router.get(
    "/{approval_id}",
    name="read_approval",
    summary="Read an approval",
    responses={**problem_responses(404), 200: examples.approval},
)
async def read(approval_id: UUID, runtime: RuntimeDep) -> Approval:
    """Return an approval, with signed URLs of the files to look at."""
    return await get_approval(runtime.database, approval_id, runtime.sign, runtime.link_approval)


@router.post(
    "/{approval_id}/approve",
    name="approve_approval",
    summary="Approve",
    responses={**problem_responses(404, 409, 422), 200: examples.decided_approval},
)
async def approve(approval_id: UUID, decision: _Decision, runtime: RuntimeDep) -> Approval:
    """Say yes. The job succeeds. The first decision counts; later ones get 409."""
    return await _decide(approval_id, decision, runtime, approved=True)


@router.post(
    "/{approval_id}/reject",
    name="reject_approval",
    summary="Reject",
    responses={**problem_responses(404, 409, 422), 200: examples.decided_approval},
)
async def reject(approval_id: UUID, decision: _Decision, runtime: RuntimeDep) -> Approval:
    """Say no. The job fails, or succeeds with `approved: false`, as its param `onReject` says."""
    return await _decide(approval_id, decision, runtime, approved=False)


async def _decide(approval_id: UUID, request: DecisionRequest, runtime: Runtime, *, approved: bool) -> Approval:
    decision = Decision(approved, request.by, request.comment or None, request.how)
    await decide_approval(runtime.database, approval_id, decision)
    return await get_approval(runtime.database, approval_id, runtime.sign, runtime.link_approval)
