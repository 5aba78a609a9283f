"""Monitor the fatigue of ads."""

from datetime import timedelta

from callsheet.ads.fatigue_report import FatigueReport, FatigueRequest, fatigue_report
from callsheet.operation_api.contract import Context, operation


@operation(
    "monitor-fatigue",
    queue="ads",
    timeout=timedelta(minutes=10),
    aliases=["monitor_fatigue", "monitor_all_ads_fatigue"],
)
async def monitor_fatigue(job: Context, params: FatigueRequest) -> FatigueReport:
    """Find the ads that their audience is tired of, before the click-through rate falls."""
    return await fatigue_report(job.store.read, params)
