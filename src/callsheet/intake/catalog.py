"""The installed intakes, by name."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import ConfigurationError
from callsheet.intake.contract import Intake

ENTRY_POINT_GROUP = "callsheet.intakes"


def intake_names() -> list[str]:
    """Return the names of all installed intakes."""
    return sorted(_points())


def load_intake(name: str) -> type[Intake]:
    """Return an intake. Raises ConfigurationError for an unknown name, and for one whose extra is not installed."""
    points = _points()
    if name not in points:
        raise ConfigurationError(
            f"There is no intake '{name}'{did_you_mean(name, sorted(points))}. Installed: {', '.join(sorted(points))}."
        )
    try:
        loaded = points[name].load()
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The intake '{name}' needs the package '{error.name}'. Install it with: pip install 'callsheet[{name}]'"
        ) from None
    if not (isinstance(loaded, type) and issubclass(loaded, Intake)):
        raise ConfigurationError(f"The entry point '{name}' of {ENTRY_POINT_GROUP} is not an intake.")
    return loaded


def _points() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
