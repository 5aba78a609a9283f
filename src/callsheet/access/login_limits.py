"""Limits of failed logins, for each address and each user, in the memory of a server process."""

import time
from collections import OrderedDict, deque

_WINDOW = 15 * 60.0
"""Seconds for which a failed login counts."""
_MAX_OF_USER, _MAX_OF_ADDRESS = 10, 30
_MAX_REMEMBERED = 10_000


class LoginLimits:
    """Counts failed logins."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, *, address: str, user: str | None) -> float | None:
        """Return the seconds until a login may be tried again; None: now."""
        waits = [self._wait(f"address {address}", _MAX_OF_ADDRESS)]
        if user is not None:
            waits.append(self._wait(f"user {user}", _MAX_OF_USER))
        return max((each for each in waits if each is not None), default=None)

    def failed(self, *, address: str, user: str | None) -> None:
        """Count a failed login."""
        for name in (f"address {address}", *([] if user is None else [f"user {user}"])):
            self._failures.setdefault(name, deque(maxlen=_MAX_OF_ADDRESS)).append(time.monotonic())
            self._failures.move_to_end(name)
        while len(self._failures) > _MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, user: str) -> None:
        """Forget the failed logins of a user."""
        self._failures.pop(f"user {user}", None)

    def _wait(self, name: str, limit: int) -> float | None:
        recent = self._failures.get(name, ())
        now = time.monotonic()
        counted = [at for at in recent if now - at < _WINDOW]
        return _WINDOW - (now - counted[-limit]) if len(counted) >= limit else None
