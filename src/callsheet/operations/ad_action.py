"""Act on ads after a person has approved it: one signed webhook to the program that controls them."""

from datetime import timedelta
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from callsheet.ads.fatigue_report import MAX_CRITICAL, AdReference
from callsheet.domain.approvals import ApprovalDecision
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.json_storage import storable_json
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_error
from callsheet.files.receiver_urls import callback_problems
from callsheet.operation_api.contract import Context, operation
from callsheet.settings import Settings


class AdActionParams(Model):
    """What is done with which ads, and the approval of a person."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "action": "pause",
                    "ads": [{"tenantId": "tenant_1", "adId": "red"}],
                    "approval": {
                        "approved": True,
                        "by": "Mia",
                        "comment": None,
                        "decidedAt": "2026-11-20T08:59:58Z",
                        "how": "link",
                    },
                    "url": "https://example.com/hooks/ads",
                }
            ]
        }
    )

    action: Literal["pause", "rotate"] = Field(description="What the receiver is to do")
    ads: list[AdReference] = Field(
        max_length=MAX_CRITICAL,
        description="The ads, such as `criticalAds` of `monitor-fatigue`; empty: nothing is done",
    )
    approval: ApprovalDecision = Field(description="The result of an `approve` job of this execution: `${review}`")
    url: str = Field(max_length=2000, description="Receives the webhook", examples=["https://example.com/hooks/ads"])
    reason: str | None = Field(None, max_length=2000, description="Sent with the action")

    @model_validator(mode="after")
    def _check_url(self, info: ValidationInfo) -> Self:
        # Without settings nothing is checked here: the sender of webhooks checks the URL, and the guard its address.
        if isinstance(info.context, Settings) and (problems := _url_problems(self.url, info.context)):
            raise validation_error(problems, "ad-action")
        return self


class AdActionResult(Model):
    """Whether the action goes to the receiver."""

    webhook_id: UUID | None = Field(
        description="Id of the webhook, whose delivery `GET /api/webhook-deliveries/{id}` shows; null: none is sent"
    )
    ads: int = Field(description="Number of ads in the webhook")
    note: str | None = Field(None, description="Why no webhook is sent")


@operation("ad-action", queue="ads", timeout=timedelta(minutes=5), aliases=("ad_action",))
async def ad_action(job: Context, params: AdActionParams) -> AdActionResult:
    """Pause or rotate ads, once, if a person has approved it: by a signed webhook, which is sent until it arrives."""
    if note := _objection(params):
        return AdActionResult(webhook_id=None, ads=0, note=note)
    if problems := _url_problems(params.url, job.settings):
        raise BadParams(problems)
    await _check_approval(job, params.approval)
    job.store.write_with_completion(
        "add_action_webhook",
        lock=f"ad-action/{job.id}",
        # One job, one webhook.
        id=job.id,
        execution_id=job.execution_id,
        url=params.url,
        data=storable_json({"data": _facts(job, params)}),
    )
    return AdActionResult(webhook_id=job.id, ads=len(params.ads))


def _objection(params: AdActionParams) -> str | None:
    if not params.ads:
        return "there are no ads"
    if not params.approval.approved:
        return "it was not approved"
    return None if params.approval.by is not None else "no person has approved it before the deadline"


async def _check_approval(job: Context, approval: ApprovalDecision) -> None:
    """Raise BadParams for an approval that no job of this execution got from a person."""
    found = await job.store.read("approvals_by_persons", execution_id=job.execution_id)
    if (approval.by, approval.decided_at) not in [(row["decided_by"], row["decided_at"]) for row in found]:
        message = "no person has approved this in this execution; give the result of its approve job, as ${review}"
        raise BadParams([Problem("approval", "bad_value", message)])


def _url_problems(url: str, settings: Settings) -> list[Problem]:
    # A reference has no value yet.
    return [] if "${" in url else callback_problems(url, settings, field="url")


def _facts(job: Context, params: AdActionParams) -> dict[str, Any]:
    return {
        "executionId": str(job.execution_id),
        "jobRecordId": str(job.id),
        "action": params.action,
        "ads": [ad.model_dump(mode="json", by_alias=True) for ad in params.ads],
        "reason": params.reason,
        "approval": params.approval.model_dump(mode="json", by_alias=True),
    }
