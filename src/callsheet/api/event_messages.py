"""Events as messages of event streams, encoded once for all streams that send them."""

from collections import OrderedDict
from uuid import UUID

from callsheet.domain.events import Event

_KEPT = 1024
"""Messages that are kept for other streams."""
_LONGEST = 16_384
"""Characters of a message that is kept."""


class EventMessages:
    """Encodes events. An event never changes, so its message is the same for every stream."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, int], str] = OrderedDict()

    def of(self, execution_id: UUID, event: Event) -> str:
        """Return the message of an event of an execution."""
        key = (execution_id, event.number)
        message = self._kept.get(key)
        if message is None:
            message = f"id: {event.number}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
            self._keep(key, message)
        return message

    def _keep(self, key: tuple[UUID, int], message: str) -> None:
        if len(message) > _LONGEST:
            return
        self._kept[key] = message
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
