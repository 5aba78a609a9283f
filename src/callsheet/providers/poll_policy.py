"""How often a provider is asked, by the settings."""

from datetime import timedelta

from callsheet.providers.contract import Polling
from callsheet.settings import Settings

_MOST = 3_000


def usual_polling(
    settings: Settings,
    *,
    longest: timedelta | None = None,
    deadline: timedelta | None = None,
    a_second: float | None = None,
) -> Polling:
    """Return what the settings say, within what a provider allows: `longest` is a pause, `deadline` for the whole."""
    cap = min(settings.provider_longest_pause, longest or settings.provider_longest_pause)
    return Polling(
        first=min(settings.provider_first_look, cap),
        cap=cap,
        beside_webhook=min(Polling().beside_webhook, cap),
        most=_MOST,
        a_second=a_second,
        deadline=min(settings.provider_deadline, deadline or settings.provider_deadline),
    )
