"""Attribute a deal: what it is worth, and which ads get the credit."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from callsheet.ads.arms import arm_values, tenant_lock
from callsheet.ads.attribution import MODELS, Touch
from callsheet.ads.credits import CreditRow, correction, due_credits, total
from callsheet.ads.deal_messages import DealMessage
from callsheet.ads.deals import DealChange, DealState, changed_deal, is_outdated
from callsheet.ads.stages import stages_of, synthetic_revenue
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import JobError
from callsheet.domain.model import Model
from callsheet.operation_api.contract import Context, operation

_MAX_TOUCHES = 1000
"""Touches of one deal that are credited; the newest."""


class AdCredit(Model):
    """The credit of one ad for a deal."""

    ad_id: str
    amount: Decimal = Field(description="In the currency of the tenant")


class AttributionResult(Model):
    """What a deal is worth, and which ads get the credit."""

    status: Literal["credited", "unchanged", "incomplete", "outdated"] = Field(
        description="`credited`: the credit was changed; `unchanged`: it is as before; `incomplete`: the stage or the "
        "value is not known yet; `outdated`: a later change is known"
    )
    deal_id: str
    tenant_id: str
    stage: str | None = Field(description="The newest known stage")
    value: Decimal | None = Field(description="The newest known value")
    probability: Decimal | None = Field(description="Probability that a deal in the stage is won")
    synthetic_revenue: Decimal = Field(description="Value times probability, to the cent")
    touches: int = Field(description="Touches that are credited")
    credits: dict[str, list[AdCredit]] = Field(
        description="By attribution model; most first. The amounts of a model add up to `syntheticRevenue`, or to 0 "
        "without touches"
    )
    reversed_amount: Decimal = Field(description="Earlier credit that was reversed, by the model of the feedback")


@operation(
    "attribute-deal", queue="ads", timeout=timedelta(minutes=1), attempts=20, aliases=["process_hubspot_webhook"]
)
async def attribute_deal(job: Context, params: DealMessage) -> AttributionResult:
    """Credit a deal to the ads that its people had contact with, and let the sampler learn from it."""
    tenant, deal = params.tenant_id, params.deal_id
    rows = await job.store.read("get_deal", tenant=tenant, deal=deal)
    before = DealState.from_row(rows[0] if rows else None)
    at = params.occurred_at or shared_now()
    change = DealChange(at, params.stage_to, params.deal_value, params.contact_ids)
    after = changed_deal(before, change)
    probability = await _probability(job, tenant, after.stage)
    touches = await _touches(job, tenant, deal, after, at)
    revenue, due = Decimal(0), []
    if probability is not None and after.stage is not None and after.value is not None:
        revenue = synthetic_revenue(after.value, probability)
        due = due_credits(
            touches,
            stage=after.stage,
            revenue=revenue,
            probability=probability,
            half_life=job.settings.ads_touch_half_life,
        )
    stored = await job.store.read("open_credits", tenant=tenant, deal=deal)
    changes = correction([CreditRow.from_row(row) for row in stored], due)
    if changes or after != before:
        _write(job, params, after, changes)
    reversed_rows = [row for row in changes if row.kind == "reversal"]
    return AttributionResult(
        status=_status(before, change, after, changes),
        deal_id=deal,
        tenant_id=tenant,
        stage=after.stage,
        value=after.value,
        probability=probability,
        synthetic_revenue=revenue,
        touches=len(touches),
        credits={model: _by_ad(due, model) for model in MODELS if due},
        reversed_amount=-total(reversed_rows, job.settings.ads_feedback_model),
    )


async def _probability(job: Context, tenant: str, stage: str | None) -> Decimal | None:
    if stage is None:
        return None
    stages = stages_of(await job.store.read("get_stages", tenant=tenant))
    if stage not in stages:
        known = ", ".join(sorted(stages)[:20])
        raise JobError(
            f"The tenant '{tenant}' has no probability for the stage '{stage}'. Known: {known}. Set it with "
            "PUT /api/ads/stages, then retry.",
            stage=stage,
            tenantId=tenant,
        )
    return stages[stage]


async def _touches(job: Context, tenant: str, deal: str, state: DealState, at: Any) -> list[Touch]:
    until = max(filter(None, (state.stage_at, state.value_at)), default=at)
    rows = await job.store.read(
        "deal_touches",
        tenant=tenant,
        deal=deal,
        contacts=list(state.contacts),
        since=until - job.settings.ads_lookback,
        until=until,
        max_touches=_MAX_TOUCHES,
    )
    return [Touch(row["touched_at"], row["ad"], row["kind"]) for row in rows]


def _write(job: Context, params: DealMessage, state: DealState, changes: Sequence[CreditRow]) -> None:
    tenant = params.tenant_id
    lock = tenant_lock(tenant)
    job.store.write_with_completion(
        "store_deal",
        lock=lock,
        tenant=tenant,
        deal=params.deal_id,
        stage=state.stage,
        stage_at=state.stage_at,
        value=state.value,
        value_at=state.value_at,
        contacts=list(state.contacts),
        version=state.version,
        execution_id=job.execution_id,
    )
    if not changes:
        return
    job.store.write_with_completion(
        "add_credits",
        lock=lock,
        tenant=tenant,
        deal=params.deal_id,
        version=state.version + 1,
        kinds=[row.kind for row in changes],
        stages=[row.stage for row in changes],
        models=[row.model for row in changes],
        ads=[row.ad for row in changes],
        days=[row.served_on for row in changes],
        amounts=[row.amount for row in changes],
        conversions=[row.conversions for row in changes],
    )
    values = arm_values(tenant, [row.ad for row in changes], job.settings)
    job.store.write_with_completion("refresh_arms", lock=lock, **values)


def _status(
    before: DealState, change: DealChange, after: DealState, changes: Sequence[CreditRow]
) -> Literal["credited", "unchanged", "incomplete", "outdated"]:
    if changes:
        return "credited"
    if is_outdated(before, change) and (change.stage is not None or change.value is not None):
        return "outdated"
    return "incomplete" if after.stage is None or after.value is None else "unchanged"


def _by_ad(rows: Sequence[CreditRow], model: str) -> list[AdCredit]:
    amounts: dict[str, Decimal] = {}
    for row in rows:
        if row.model == model:
            amounts[row.ad] = amounts.get(row.ad, Decimal(0)) + row.amount
    ordered = sorted(amounts.items(), key=lambda each: (-each[1], each[0]))
    return [AdCredit(ad_id=ad, amount=amount) for ad, amount in ordered]
