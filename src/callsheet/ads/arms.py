"""The stored arms of the sampler."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from callsheet.ads.sampler import Arm
from callsheet.db.database import Connection
from callsheet.db.statements import sql
from callsheet.settings.ads import AdsSettings

RewardSource = Literal["deals", "reported"]
"""Where the rewards come from: credit of deals, or what the platforms report."""

MAX_ARMS = 1000
"""Ads of a tenant that share a budget."""
_DAY = timedelta(days=1)
_HALF_LIVES_READ = 20
"""Older metrics weigh less than a millionth."""


def tenant_lock(tenant: str) -> str:
    """Return the name of the lock under which the deals, credits and arms of a tenant are written."""
    return f"ads/{tenant}"


def arm_values(tenant: str, ads: Iterable[str], settings: AdsSettings) -> dict[str, Any]:
    """Return the values of the statement `refresh_arms`."""
    half_life = settings.ads_half_life / _DAY
    return {
        "tenant": tenant,
        "ads": sorted(set(ads)),
        "model": settings.ads_feedback_model,
        "half_life": half_life,
        "delay_half_life": settings.ads_delay_half_life / _DAY,
        "max_age_days": min(int(half_life * _HALF_LIVES_READ) + 1, 36_500),
    }


async def refresh_arms(connection: Connection, tenant: str, ads: Iterable[str], settings: AdsSettings) -> None:
    """Compute the sums of ads from their metrics and credits. The caller holds the lock of the tenant."""
    await sql.refresh_arms(connection, **arm_values(tenant, ads, settings))


def arm_of(row: Mapping[str, Any], source: RewardSource, settings: AdsSettings) -> Arm:
    """Return a stored arm as it is now: the sums lose weight with each day since they were computed."""
    prefix = "deal" if source == "deals" else "reported"
    stored = Arm(row["trials"], row["immature"], row[f"{prefix}_conversions"], row[f"{prefix}_revenue"], row["spend"])
    return stored.aged(row["age"], settings.ads_half_life / _DAY, settings.ads_delay_half_life / _DAY)
