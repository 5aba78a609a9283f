"""Poll policy of a provider, from the settings."""

from datetime import timedelta

from callsheet.providers.contract import PollPolicy
from callsheet.settings import Settings


def default_poll_policy(
    settings: Settings,
    *,
    max_interval: timedelta | None = None,
    deadline: timedelta | None = None,
    per_second: float | None = None,
) -> PollPolicy:
    """Return the poll policy of the settings, reduced to the `max_interval` and `deadline` of the provider."""
    longest = min(settings.provider_poll_max, max_interval or settings.provider_poll_max)
    return PollPolicy(
        initial=min(settings.provider_poll_initial, longest),
        factor=settings.provider_poll_backoff_multiplier,
        max_interval=longest,
        webhook_interval=min(PollPolicy().webhook_interval, longest),
        max_polls=settings.provider_poll_max_attempts,
        per_second=per_second,
        deadline=min(settings.provider_deadline, deadline or settings.provider_deadline),
    )
