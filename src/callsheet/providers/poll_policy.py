"""How often a provider is asked, by the settings."""

from datetime import timedelta

from callsheet.providers.contract import PollPolicy
from callsheet.settings import Settings

_MOST = 3_000


def default_poll_policy(
    settings: Settings,
    *,
    longest: timedelta | None = None,
    deadline: timedelta | None = None,
    per_second: float | None = None,
) -> PollPolicy:
    """Return what the settings say, within what a provider allows: `longest` is a pause, `deadline` for the whole."""
    cap = min(settings.provider_poll_max, longest or settings.provider_poll_max)
    return PollPolicy(
        initial=min(settings.provider_poll_initial, cap),
        max_interval=cap,
        webhook_interval=min(PollPolicy().webhook_interval, cap),
        max_polls=_MOST,
        per_second=per_second,
        deadline=min(settings.provider_deadline, deadline or settings.provider_deadline),
    )
