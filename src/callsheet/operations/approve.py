"""Approve: wait for the yes or no of a person."""

import json
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints

from callsheet.domain.approval_terms import Default, OnReject
from callsheet.domain.approvals import ApprovalDecision
from callsheet.domain.clock import shared_now
from callsheet.domain.durations import Duration
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.domain.model import Model
from callsheet.operation_api.approval_request import ApprovalRequest, WaitForApproval
from callsheet.operation_api.contract import Context, operation

MAX_PREVIEWS = 20
_SHOWN_ITEMS = 50
_MAX_LINE = 500
"""Characters of an item."""
_MIN_DEADLINE, _MAX_DEADLINE = timedelta(seconds=1), timedelta(days=90)


def _is_artifact(source: MediaSource) -> MediaSource:
    if source.kind is not SourceKind.ARTIFACT:
        raise ValueError(f"a preview is a file of a job, as ${{job.video}} or artifact:<id>; not '{source.text[:100]}'")
    return source


def _is_in_range(deadline: timedelta) -> timedelta:
    if not _MIN_DEADLINE <= deadline <= _MAX_DEADLINE:
        raise ValueError(f"a deadline is between 1s and 90d; not {deadline.total_seconds():g} s")
    return deadline


class ApproveParams(Model):
    """What a person is asked, and what happens without an answer."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] = Field(
        description="The question", examples=["Publish this trailer?"]
    )
    text: str | None = Field(
        None,
        max_length=10_000,
        validation_alias=AliasChoices("text", "description", "message"),
        description="What the person needs to know. Plain text",
    )
    items: list[Any] | None = Field(
        None,
        max_length=10_000,
        description="What is to be approved, such as `${fatigue.criticalAds}`; shown below the text, the first 50. "
        "Empty: no person is asked, and the job succeeds with `approved: false`",
    )
    previews: list[Annotated[MediaSource, AfterValidator(_is_artifact)]] = Field(
        default_factory=list,
        max_length=MAX_PREVIEWS,
        description="Files of other jobs that are shown to the person, by reference or as `artifact:<id>`",
    )
    deadline: Annotated[Duration, AfterValidator(_is_in_range)] = Field(
        timedelta(days=7),
        validation_alias=AliasChoices("deadline", "timeout"),
        json_schema_extra={"default": "7d"},
        description="Time for the decision, from the moment at which the job begins to wait: 1s to 90d",
    )
    default: Default = Field(
        "fail",
        description="What happens at the deadline without a decision. `fail` fails the job as `approval_expired`",
    )
    on_reject: OnReject = Field(
        "fail",
        description="`fail`: a rejection fails the job as `approval_rejected`, and the jobs that depend on it are "
        "skipped. `continue`: the job succeeds with `approved: false`, which later jobs can read",
    )


@operation("approve", queue="default", timeout=timedelta(minutes=5), aliases=("approval", "safe_executor"))
async def approve(job: Context, params: ApproveParams) -> ApprovalDecision:
    """Wait for the yes or no of a person, without a slot: in the console, the API, the command line or by a link."""
    del job
    if params.items == []:
        return ApprovalDecision(
            approved=False, by=None, comment="There was nothing to approve.", decided_at=shared_now(), how="none"
        )
    raise WaitForApproval(
        ApprovalRequest(
            title=params.title,
            text=_text(params),
            previews=tuple(source.artifact_id for source in params.previews),
            deadline=params.deadline,
            default=params.default,
            on_reject=params.on_reject,
        )
    )


def _text(params: ApproveParams) -> str | None:
    if params.items is None:
        return params.text
    lines = [_line(item) for item in params.items[:_SHOWN_ITEMS]]
    if (more := len(params.items) - _SHOWN_ITEMS) > 0:
        lines.append(f"… and {more:,} more")
    return "\n".join([*([params.text, ""] if params.text else []), *lines])


def _line(item: Any) -> str:
    if isinstance(item, dict):
        return ", ".join(f"{name}: {_line(value)}" for name, value in item.items())[:_MAX_LINE]
    return (item if isinstance(item, str) else json.dumps(item, ensure_ascii=False))[:_MAX_LINE]
