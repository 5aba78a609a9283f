"""Pages of approvals: for people who are logged in, and for those who have a signed link.

Opening a page changes nothing, because mail scanners open links. Only its form decides.
"""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from callsheet.console.responses import CheckedForm, Form, RuntimeDep, page_response
from callsheet.domain.approval_terms import Channel
from callsheet.domain.approvals import ApprovalStatus, Comment, PersonName
from callsheet.domain.errors import InvalidState
from callsheet.engine.jobs.approvals import Decision, decide_approval
from callsheet.engine.reads.approvals import get_approval, list_approvals
from callsheet.files.approval_links import verify_approval_link
from callsheet.wiring import Runtime

router = APIRouter()

_LISTED = 200
"""Open approvals on the page of the list."""
_NAME: TypeAdapter[str] = TypeAdapter(PersonName)
_COMMENT: TypeAdapter[str] = TypeAdapter(Comment)


@router.get("/console/approvals")
async def list_page(request: Request, runtime: RuntimeDep) -> Response:
    """Show the approvals that wait for a decision."""
    found = await list_approvals(
        runtime.database, ApprovalStatus.OPEN, runtime.sign, runtime.link_approval, before=None, limit=_LISTED
    )
    return page_response(request, "approvals.html", approvals=found)


@router.get("/console/approvals/{approval_id}")
async def page(request: Request, approval_id: UUID, runtime: RuntimeDep) -> Response:
    """Show an approval to a person who is logged in."""
    return await _page(request, approval_id, runtime, by_link=False)


@router.post("/console/approvals/{approval_id}")
async def decide(request: Request, approval_id: UUID, form: CheckedForm, runtime: RuntimeDep) -> Response:
    """Store the decision of a person who is logged in."""
    return await _decide(request, approval_id, form, runtime, "console")


@router.get("/approvals/{approval_id}")
async def linked_page(
    request: Request, approval_id: UUID, runtime: RuntimeDep, expires: str = "", sig: str = ""
) -> Response:
    """Show an approval to a person with a signed link."""
    verify_approval_link(runtime.key, approval_id, expires=expires, sig=sig)
    return await _page(request, approval_id, runtime, by_link=True)


@router.post("/approvals/{approval_id}")
async def decide_by_link(
    request: Request, approval_id: UUID, form: Form, runtime: RuntimeDep, expires: str = "", sig: str = ""
) -> Response:
    """Store the decision of a person with a signed link. Its signature takes the place of a CSRF token."""
    verify_approval_link(runtime.key, approval_id, expires=expires, sig=sig)
    return await _decide(request, approval_id, form, runtime, "link")


async def _decide(
    request: Request, approval_id: UUID, form: dict[str, str], runtime: Runtime, how: Channel
) -> Response:
    problem = _problem(form)
    if problem is None:
        decision = Decision(
            form["decision"] == "approve",
            _NAME.validate_python(form["by"]),
            form.get("comment", "").strip() or None,
            how,
        )
        try:
            await decide_approval(runtime.database, approval_id, decision)
        except InvalidState as error:
            problem = error.message
    if problem is None:
        # A reload of the page that follows sends no form again.
        return RedirectResponse(_own_address(request), 303)
    return await _page(request, approval_id, runtime, by_link=how == "link", problem=problem, form=form)


def _own_address(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _problem(form: dict[str, str]) -> str | None:
    if form.get("decision") not in ("approve", "reject"):
        return "Choose yes or no."
    try:
        _NAME.validate_python(form.get("by", ""))
    except ValidationError:
        return "Write your name, with at most 200 characters."
    try:
        _COMMENT.validate_python(form.get("comment", ""))
    except ValidationError:
        return "The comment is too long: at most 4,000 characters."
    return None


async def _page(
    request: Request,
    approval_id: UUID,
    runtime: Runtime,
    *,
    by_link: bool,
    problem: str | None = None,
    form: dict[str, str] | None = None,
) -> Response:
    approval = await get_approval(runtime.database, approval_id, runtime.sign, runtime.link_approval)
    return page_response(
        request,
        "approval.html",
        status=200 if problem is None else 409 if approval.status is not ApprovalStatus.OPEN else 422,
        approval=approval,
        action=_own_address(request),
        by_link=by_link,
        problem=problem,
        given={"by": "", "comment": "", **(form or {})},
    )
