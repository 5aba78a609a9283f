"""The types of events that webhook endpoints can receive."""

from typing import Literal, get_args

from callsheet.domain.event_types import EventType

AlertType = Literal["alert.queue_failing", "alert.endpoint_disabled"]
TEST: Literal["webhook.test"] = "webhook.test"
AD_ACTION: Literal["ad.action"] = "ad.action"
"""The approved action of an `ad-action` job. It goes to the URL in the params of the job, and to no endpoint."""

_TYPES = (*EventType, *get_args(AlertType))
SUBSCRIBABLE: tuple[str, ...] = (
    *(f"{kind}.*" for kind in dict.fromkeys(name.partition(".")[0] for name in _TYPES)),
    *(str(name) for name in _TYPES),
)
"""What an endpoint can receive: all types of a kind, or single types."""
EXECUTION_ENDS = (
    str(EventType.EXECUTION_SUCCEEDED),
    str(EventType.EXECUTION_FAILED),
    str(EventType.EXECUTION_CANCELLED),
)
"""What an endpoint receives if nothing else is chosen."""
