"""Ads: touches, daily metrics, deals and their credit, stages, and the budget."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query
from pydantic import Field

from callsheet.ads import credit_reads
from callsheet.ads.attribution import Model as AttributionModel
from callsheet.ads.fatigue_report import FatigueReport, FatigueRequest, fatigue_report
from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.ads.metrics import DailyMetrics, Day, store_metrics
from callsheet.ads.recommendations import Recommendation, RecommendationRequest, adopt, recommend
from callsheet.ads.touches import NewTouch, add_touches
from callsheet.api import examples_ads as examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.db.statements import sql
from callsheet.domain.model import Model

router = APIRouter(prefix="/api/ads", tags=["ads"])

_MAX_ROWS = 5000
"""Rows of one request."""
_MAX_ADS = 2000
"""Ads that one request assesses: about two seconds."""

TenantId = Annotated[Identifier, Query(alias="tenantId", description="Whose ads they are", examples=["tenant_1"])]


class TouchBatch(Model):
    """Touches to store."""

    touches: list[NewTouch] = Field(min_length=1, max_length=_MAX_ROWS)


class TouchReceipt(Model):
    """What was stored."""

    added: int = Field(description="New touches; those that were stored before do not count")


class MetricsBatch(Model):
    """Daily metrics to store."""

    metrics: list[DailyMetrics] = Field(min_length=1, max_length=_MAX_ROWS)


class MetricsReceipt(Model):
    """What was stored."""

    stored: int = Field(description="Days of ads")


class Stages(Model):
    """Stages of the deals of a tenant."""

    stages: dict[Identifier, Annotated[Decimal, Field(ge=0, le=1, decimal_places=4)]] = Field(
        min_length=1, max_length=500, description="Probability that a deal in the stage is won, from 0 to 1"
    )


class DealCredit(Model):
    """A row of the credit of a deal. Rows are never changed."""

    version: int = Field(description="Version of the deal that added the row")
    kind: Literal["credit", "reversal"]
    stage: str
    model: AttributionModel
    ad_id: str
    served_on: date = Field(description="Day of the touch, in UTC")
    amount: Decimal = Field(description="Negative in a reversal")
    at: datetime


class Deal(Model):
    """A deal, and its credit."""

    deal_id: str
    tenant_id: str
    stage: str | None
    value: Decimal | None
    contact_ids: list[str]
    version: int = Field(description="Number of its changes")
    execution_id: UUID = Field(description="Execution of its newest change")
    rows: list[DealCredit] = Field(description="Oldest first, at most 10,000")


class AdTotal(Model):
    """The credit of an ad over all deals."""

    ad_id: str
    amount: Decimal
    conversions: float = Field(description="Deals, each counted by the credited part and its probability")
    deals: int = Field(description="Deals with a row for the ad, also a reversed one")


class AdTotals(Model):
    """The credit of the ads of a tenant."""

    model: AttributionModel
    ads: list[AdTotal] = Field(description="Most credit first, at most 5,000")


@router.post(
    "/touches",
    name="add_ad_touches",
    summary="Store touches",
    responses={**problem_responses(413, 422), 200: examples.touches_stored},
)
async def add_ad_touches(
    batch: Annotated[TouchBatch, Body(openapi_examples=examples.touches)], runtime: RuntimeDep
) -> TouchReceipt:
    """Store contacts of people and deals with ads. A touch that is sent again is not stored again."""
    return TouchReceipt(added=await add_touches(runtime.database, batch.touches))


@router.post(
    "/metrics",
    name="store_ad_metrics",
    summary="Store daily metrics",
    responses={**problem_responses(413, 422), 200: examples.metrics_stored},
)
async def store_ad_metrics(
    batch: Annotated[MetricsBatch, Body(openapi_examples=examples.metrics)], runtime: RuntimeDep
) -> MetricsReceipt:
    """Store what ads did, by day. The newest report of an ad and a day replaces the earlier one."""
    return MetricsReceipt(stored=await store_metrics(runtime.database, batch.metrics, runtime.settings))


@router.get(
    "/stages",
    name="read_deal_stages",
    summary="Read the stages of deals",
    responses={**problem_responses(422), 200: examples.stages_found},
)
async def read_deal_stages(runtime: RuntimeDep, tenant_id: TenantId = DEFAULT_TENANT) -> Stages:
    """Return the stages of a tenant. One without stages of its own has those of HubSpot's default pipeline."""
    return Stages(stages=dict(await credit_reads.read_stages(runtime.database, tenant_id)))


@router.put(
    "/stages",
    name="replace_deal_stages",
    summary="Replace the stages of deals",
    responses={**problem_responses(422), 200: examples.stages_found},
)
async def replace_deal_stages(
    stages: Annotated[Stages, Body(openapi_examples=examples.stages)],
    runtime: RuntimeDep,
    tenant_id: TenantId = DEFAULT_TENANT,
) -> Stages:
    """Replace the stages of a tenant. The credit of a deal follows at its next change."""
    await credit_reads.replace_stages(runtime.database, tenant_id, stages.stages)
    return stages


@router.get(
    "/deals/{deal_id:path}",
    name="read_deal",
    summary="Read a deal",
    responses={**problem_responses(404, 422), 200: examples.deal},
)
async def read_deal(deal_id: Identifier, runtime: RuntimeDep, tenant_id: TenantId = DEFAULT_TENANT) -> Deal:
    """Return a deal with all rows of its credit."""
    row, rows = await credit_reads.read_deal(runtime.database, tenant_id, deal_id)
    return Deal(
        deal_id=deal_id,
        tenant_id=tenant_id,
        stage=row["stage"],
        value=row["value"],
        contact_ids=row["contacts"],
        version=row["version"],
        execution_id=row["execution_id"],
        rows=[_credit(each) for each in rows],
    )


def _credit(row: Any) -> DealCredit:
    names = ("version", "kind", "stage", "model", "served_on", "amount", "at")
    return DealCredit(ad_id=row["ad"], **{name: row[name] for name in names})


@router.get(
    "/fatigue",
    name="read_ad_fatigue",
    summary="Find tired ads",
    responses={**problem_responses(422), 200: examples.fatigue},
)
async def read_ad_fatigue(
    runtime: RuntimeDep,
    tenant_id: TenantId = DEFAULT_TENANT,
    day: Annotated[Day | None, Query(description="Last day that counts; unset: yesterday in UTC")] = None,
) -> FatigueReport:
    """Return the ads of a tenant that their audience is tired of. Computed from the metrics that are stored now."""

    async def read(statement: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        rows: Sequence[Mapping[str, Any]] = await runtime.database.retry(
            lambda connection: getattr(sql, statement)(connection, **values), timeout=10
        )
        return rows

    return await fatigue_report(read, FatigueRequest(tenant_id=tenant_id, day=day), max_ads=_MAX_ADS)


@router.get(
    "/credits",
    name="list_ad_credits",
    summary="List the credit of ads",
    responses={**problem_responses(422), 200: examples.totals},
)
async def list_ad_credits(
    runtime: RuntimeDep,
    tenant_id: TenantId = DEFAULT_TENANT,
    model: Annotated[AttributionModel, Query(description="Attribution model")] = "time-decay",
) -> AdTotals:
    """Return the credit of each ad over all deals, by one attribution model."""
    rows = await credit_reads.read_totals(runtime.database, tenant_id, model)
    ads = [
        AdTotal(ad_id=row["ad"], amount=row["amount"], conversions=row["conversions"], deals=row["deals"])
        for row in rows
    ]
    return AdTotals(model=model, ads=ads)


@router.get(
    "/recommendations",
    name="recommend_ad_budget",
    summary="Recommend shares of a budget",
    responses={**problem_responses(404, 422), 200: examples.recommendation},
)
async def recommend_ad_budget(
    request: Annotated[RecommendationRequest, Query()], runtime: RuntimeDep
) -> Recommendation:
    """Return shares of a budget, by the probability of each ad to return most. Nothing is stored."""
    return await recommend(runtime.database, request, runtime.settings)


@router.post(
    "/recommendations",
    name="adopt_ad_budget",
    summary="Adopt shares of a budget",
    responses={**problem_responses(404, 422), 200: examples.recommendation},
)
async def adopt_ad_budget(
    request: Annotated[RecommendationRequest, Body(openapi_examples=examples.recommendation_requests)],
    runtime: RuntimeDep,
) -> Recommendation:
    """Return shares of a budget, and store them as those in use: the next ones move from them by `step`."""
    recommendation = await recommend(runtime.database, request, runtime.settings)
    await adopt(runtime.database, recommendation)
    return recommendation
