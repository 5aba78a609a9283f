"""Requirements of operations that this machine meets."""

from collections.abc import Callable
from pathlib import Path

from callsheet.domain.errors import ConfigurationError
from callsheet.media.ffmpeg.binary import find_ffmpeg
from callsheet.media.speech.engines import ENGINES
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings


def _has_ffmpeg(settings: Settings) -> bool:
    try:
        find_ffmpeg(settings)
    except ConfigurationError:
        return False
    return True


def _has_gpu(_settings: Settings) -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


def _has_speech(_settings: Settings) -> bool:
    return any(engine.installed() for engine in ENGINES.values())


CHECKS: dict[str, Callable[[Settings], bool]] = {"ffmpeg": _has_ffmpeg, "gpu": _has_gpu, "speech": _has_speech}
"""Check of each requirement. A requirement without a check is never met."""


def runnable_operations(catalog: Catalog, settings: Settings) -> Catalog:
    """Return the operations whose requirements this machine meets."""
    needed = {need for operation in catalog.operations() for need in operation.needs}
    met = {need for need in needed if need in CHECKS and CHECKS[need](settings)}
    return Catalog(operation for operation in catalog.operations() if operation.needs <= met)
