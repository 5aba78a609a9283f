"""Which ads of a tenant, or of all, are tired."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal

from pydantic import Field

from callsheet.ads.fatigue import LOOKBACK_DAYS, AdDay, Assessment, Severity, SignalName, assess
from callsheet.ads.identifiers import Identifier
from callsheet.ads.metrics import Day
from callsheet.domain.clock import shared_now
from callsheet.domain.errors import BadInput
from callsheet.domain.model import Model

MAX_ADS = 200
"""Ads with a severity in a report."""
MAX_CRITICAL = 1000
"""Critical ads in a report."""
_ADS_OF_PAGE = 500
"""Ads that are read at a time: about 20,000 days, one half second of work."""
_ORDER: Mapping[Severity, int] = {"critical": 0, "warning": 1, "watch": 2, "none": 3}
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fatigue")
"""One at a time: several threads would not be faster, and would delay the event loop."""


class FatigueRequest(Model):
    """Which ads are assessed, and as of when. Params of `monitor-fatigue`."""

    tenant_id: Identifier | None = Field(None, description="Whose ads; unset: of all tenants", examples=["tenant_1"])
    day: Day | None = Field(
        None,
        description="Last day that counts; unset: yesterday in UTC, the last complete one",
        examples=["2026-11-20"],
    )


class FatigueSignal(Model):
    """One figure of an ad, compared with its first ten days."""

    name: SignalName
    value: float = Field(
        description="Median of the last three days, without the weekend effect. `frequency`: impressions per person; "
        "`cpm`: cost per thousand impressions, in the currency of the tenant; `engagement` and `click-through`: per "
        "impression"
    )
    reference: float = Field(description="Median of the first ten days in the 42 days up to the day")
    change: float = Field(description="Relative change from the reference; 0.2: 20 % higher")
    slope: float = Field(description="Relative change per day over the last 14 days (Theil and Sen)")
    evidence: float = Field(description="Cumulative sum of the change for the worse, relative to its alarm level")
    on: bool = Field(description="The figure has become worse, surely and by enough")


class AdReference(Model):
    """An ad of a tenant."""

    tenant_id: str
    ad_id: str


class AdFatigue(AdReference):
    """How tired an ad is, and why."""

    severity: Literal["watch", "warning", "critical"]
    score: float = Field(description="Mean evidence of the leading signals, from 0 to 1")
    days: int = Field(description="Days with at least 100 impressions, of the last 42")
    signals: list[FatigueSignal] = Field(description="Those that are reported for enough days")


class FatigueCounts(Model):
    """Numbers of ads."""

    none: int = Field(description="Assessed, and not tired")
    watch: int = Field(description="One leading signal is on")
    warning: int = Field(description="Two leading signals are on")
    critical: int = Field(description="All three are on, or two and the click-through rate falls")
    too_few_days: int = Field(description="Not assessed: no leading figure has 13 days with at least 100 impressions")
    no_recent_days: int = Field(description="Not assessed: no day with 100 impressions in the last four")


class FatigueReport(Model):
    """Which ads are tired."""

    tenant_id: str | None = Field(description="Null: all tenants")
    day: date = Field(description="Last day that counts")
    counts: FatigueCounts
    ads: list[AdFatigue] = Field(description=f"Tired ads, worst first, at most {MAX_ADS}")
    critical_ads: list[AdReference] = Field(description=f"Critical ads, at most {MAX_CRITICAL:,}")


Read = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]
"""Runs a statement by its name, with its values by name, and returns its rows."""


async def fatigue_report(read: Read, request: FatigueRequest, *, max_ads: int | None = None) -> FatigueReport:
    """Return the tired ads of a tenant, or of all. Nothing is stored.

    Raises BadInput if there are more than `max_ads`; None: any number.
    """
    day = request.day or shared_now().date() - timedelta(days=1)
    counts: Counter[str] = Counter()
    tired: list[AdFatigue] = []
    critical: list[AdReference] = []
    last = ("", "")
    while True:
        rows = await read(
            "fatigue_days",
            tenant=request.tenant_id,
            after_tenant=last[0],
            after_ad=last[1],
            since=day - timedelta(days=LOOKBACK_DAYS),
            until=day,
            max_ads=_ADS_OF_PAGE,
        )
        if not rows:
            break
        last = (rows[-1]["tenant"], rows[-1]["ad"])
        found = await asyncio.get_running_loop().run_in_executor(_thread, _assess_all, rows, day)
        counts.update(each.severity if each.status == "assessed" else each.status for _, each in found)
        if max_ads is not None and counts.total() > max_ads:
            raise BadInput(f"There are more than {max_ads:,} ads to assess; run the operation monitor-fatigue.")
        worse = [_view(ad, each) for ad, each in found if each.severity != "none"]
        critical += [AdReference(tenant_id=e.tenant_id, ad_id=e.ad_id) for e in worse if e.severity == "critical"]
        tired = sorted([*tired, *worse], key=_worst_first)[:MAX_ADS]
    names = ("none", "watch", "warning", "critical", "too_few_days", "no_recent_days")
    return FatigueReport(
        tenant_id=request.tenant_id,
        day=day,
        counts=FatigueCounts(**{name: counts[name] for name in names}),
        ads=tired,
        critical_ads=critical[:MAX_CRITICAL],
    )


def _assess_all(rows: Sequence[Mapping[str, Any]], day: date) -> list[tuple[AdReference, Assessment]]:
    found = []
    for (tenant, ad), days in groupby(rows, key=lambda row: (row["tenant"], row["ad"])):
        found.append((AdReference(tenant_id=tenant, ad_id=ad), assess([_ad_day(row) for row in days], day)))
    return found


def _ad_day(row: Mapping[str, Any]) -> AdDay:
    counts = {name: row[name] for name in ("day", "impressions", "clicks", "reach", "engagements")}
    return AdDay(**counts, spend=float(row["spend"]))


def _view(ad: AdReference, found: Assessment) -> AdFatigue:
    signals = [
        FatigueSignal(**{name: getattr(each, name) for name in FatigueSignal.model_fields}) for each in found.signals
    ]
    return AdFatigue.model_validate(
        {
            "tenant_id": ad.tenant_id,
            "ad_id": ad.ad_id,
            "severity": found.severity,
            "score": found.score,
            "days": found.days,
            "signals": signals,
        }
    )


def _worst_first(ad: AdFatigue) -> tuple[int, float, str, str]:
    return _ORDER[ad.severity], -ad.score, ad.tenant_id, ad.ad_id
