"""Daily metrics of ads, as their platforms report them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from callsheet.ads.arms import refresh_arms, tenant_lock
from callsheet.ads.cents import Amount
from callsheet.ads.identifiers import DEFAULT_TENANT, Identifier
from callsheet.db.database import Database
from callsheet.db.statements import sql
from callsheet.domain.model import Model
from callsheet.settings.ads import AdsSettings

_MAX_COUNT = 10**15


def _plausible(day: date) -> date:
    if not date(2000, 1, 1) <= day <= datetime.now(UTC).date() + timedelta(days=1):
        raise ValueError("must be a day from 2000 to today")
    return day


Day = Annotated[date, AfterValidator(_plausible)]
Count = Annotated[int, Field(ge=0, le=_MAX_COUNT)]


class DailyMetrics(Model):
    """What an ad did on one day."""

    tenant_id: Identifier = DEFAULT_TENANT
    ad_id: Identifier
    day: Day = Field(examples=["2026-11-20"])
    impressions: Count = Field(description="How often it was shown")
    clicks: Count = 0
    spend: Amount = Field(description="Cost, in the currency of the tenant")
    reach: Count | None = Field(None, description="Different people who saw it; impressions / reach is the frequency")
    engagements: Count | None = Field(None, description="Likes, comments, shares…")
    conversions: float = Field(0, ge=0, le=_MAX_COUNT, allow_inf_nan=False, description="As the platform counts them")
    revenue: Amount = Field(default=0, validate_default=True, description="As the platform reports it")

    @model_validator(mode="after")
    def _check_counts(self) -> "DailyMetrics":
        if self.clicks > self.impressions:
            raise ValueError(f"{self.clicks:,} clicks are more than the {self.impressions:,} impressions")
        if self.reach is not None and self.reach > self.impressions:
            raise ValueError(f"a reach of {self.reach:,} is more than the {self.impressions:,} impressions")
        return self


async def store_metrics(database: Database, metrics: Sequence[DailyMetrics], settings: AdsSettings) -> int:
    """Store the metrics of days, and return their number. The newest report of an ad and a day counts.

    Of several reports for the same day, the last one counts. The sampler learns from them in the same transaction.
    """
    by_tenant: dict[str, dict[tuple[str, date], DailyMetrics]] = {}
    for each in metrics:
        by_tenant.setdefault(each.tenant_id, {})[each.ad_id, each.day] = each

    async def store() -> None:
        async with database.transaction() as connection:
            await sql.lock_state(connection, keys=[tenant_lock(tenant) for tenant in by_tenant])
            for tenant, days in sorted(by_tenant.items()):
                rows = list(days.values())
                await sql.store_metrics(
                    connection,
                    tenant=tenant,
                    ads=[row.ad_id for row in rows],
                    days=[row.day for row in rows],
                    impressions=[row.impressions for row in rows],
                    clicks=[row.clicks for row in rows],
                    spends=[row.spend for row in rows],
                    reaches=[row.reach for row in rows],
                    engagements=[row.engagements for row in rows],
                    conversions=[row.conversions for row in rows],
                    revenues=[row.revenue for row in rows],
                )
                await refresh_arms(connection, tenant, {row.ad_id for row in rows}, settings)

    await database.repeat(store, timeout=10)
    return sum(map(len, by_tenant.values()))
