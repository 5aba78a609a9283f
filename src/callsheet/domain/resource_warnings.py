"""Warnings of high use with hysteresis: each begins once, and ends once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from callsheet.domain.resources import ResourceWarning

_NEVER = 100.0
"""A limit that no use exceeds."""


@dataclass(frozen=True, slots=True)
class WarningLimits:
    """When a resource is high, and when it is no longer high."""

    percent: Mapping[str, float]
    """Kind of resource (`cpu`, `memory`, `disk`, `gpu-memory`) → limit in percent. From 100 on: no warning."""
    margin: float
    """Percentage points below the limit at which a warning ends."""
    measurements: int
    """Measurements in a row at or above the limit before a warning begins."""

    def of(self, resource: str) -> float:
        """Return the limit of a resource: that of its kind, the part of its name before the colon."""
        return self.percent.get(resource.partition(":")[0], _NEVER)


@dataclass(frozen=True, slots=True)
class WarningChanges:
    """The warnings that one measurement has begun and ended."""

    began: list[ResourceWarning]
    ended: list[ResourceWarning]


class ResourceWarnings:
    """The warnings of one worker, from its measurements.

    A warning begins when a resource was at or above its limit in some measurements in a row, and ends when it is below
    the limit by the margin. In between, nothing changes: a use that moves around the limit warns once.
    """

    def __init__(self, limits: WarningLimits) -> None:
        self._limits = limits
        self._high: Counter[str] = Counter()
        """Measurements in a row at or above the limit."""
        self._active: dict[str, ResourceWarning] = {}

    @property
    def active(self) -> list[ResourceWarning]:
        """The warnings that have not ended, in the order in which they began."""
        return list(self._active.values())

    def update(self, levels: Mapping[str, float], at: datetime) -> WarningChanges:
        """Take a measurement: resource → percent. A resource that is gone has no warning any more."""
        began = [warning for name, percent in levels.items() if (warning := self._begin(name, percent, at)) is not None]
        ended = [warning for name, warning in self._active.items() if self._has_ended(warning, levels.get(name))]
        for warning in ended:
            del self._active[warning.resource]
        self._active = {
            name: warning.model_copy(update={"percent": levels[name]}) for name, warning in self._active.items()
        }
        return WarningChanges(began, ended)

    def _begin(self, resource: str, percent: float, at: datetime) -> ResourceWarning | None:
        limit = self._limits.of(resource)
        if limit >= _NEVER or percent < limit:
            del self._high[resource]
            return None
        self._high[resource] += 1
        if resource in self._active or self._high[resource] < self._limits.measurements:
            return None
        self._active[resource] = ResourceWarning(resource=resource, percent=percent, limit=limit, since=at)
        return self._active[resource]

    def _has_ended(self, warning: ResourceWarning, percent: float | None) -> bool:
        return percent is None or percent < warning.limit - self._limits.margin
