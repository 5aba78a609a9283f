"""Requirements of operations that this machine meets."""

from collections.abc import Callable
from pathlib import Path

from callsheet.ads.winners.indexes import why_no_index
from callsheet.domain.errors import ConfigurationError
from callsheet.embeddings.engines import why_no_embedder
from callsheet.media.enhancement.process import INSTALL_WITH, installed_runtimes
from callsheet.media.ffmpeg.binary import find_ffmpeg
from callsheet.media.speech.engines import ENGINES
from callsheet.media.voice import hibari
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings


def _why_no_ffmpeg(settings: Settings) -> str | None:
    try:
        find_ffmpeg(settings)
    except ConfigurationError as error:
        return error.message
    return None


def _why_no_gpu(_settings: Settings) -> str | None:
    if any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists():
        return None
    return "The machine has no GPU: there is neither /dev/nvidia0 nor /dev/kfd"


def _why_no_speech(_settings: Settings) -> str | None:
    if any(engine.installed() for engine in ENGINES.values()):
        return None
    commands = " or ".join(engine.install_with for engine in ENGINES.values())
    return f"No speech recognition is installed; run {commands}"


def _why_no_voice(_settings: Settings) -> str | None:
    return None if hibari.installed() else f"No speech synthesis is installed; run {hibari.INSTALL_WITH}"


def _why_no_model_runtime(_settings: Settings) -> str | None:
    return None if installed_runtimes() else f"Neither ncnn nor onnxruntime is installed; run {INSTALL_WITH}"


def _why_no_search(settings: Settings) -> str | None:
    return why_no_index() or why_no_embedder(settings)


CHECKS: dict[str, Callable[[Settings], str | None]] = {
    "ffmpeg": _why_no_ffmpeg,
    "gpu": _why_no_gpu,
    "interpolation": _why_no_model_runtime,
    "search": _why_no_search,
    "speech": _why_no_speech,
    "upscaling": _why_no_model_runtime,
    "voice": _why_no_voice,
}
"""Check of each requirement: returns why it is not met, or None. A requirement without a check is never met."""


def missing_requirements(catalog: Catalog, settings: Settings) -> dict[str, dict[str, str]]:
    """Return the requirements that this machine does not meet: operation → requirement → reason."""
    needed = {need for operation in catalog.operations() for need in operation.needs}
    reasons = {need: reason for need in sorted(needed) if (reason := _why_missing(need, settings)) is not None}
    missing = {
        operation.name: {need: reason for need, reason in reasons.items() if need in operation.needs}
        for operation in catalog.operations()
    }
    return {name: needs for name, needs in missing.items() if needs}


def runnable_operations(catalog: Catalog, settings: Settings) -> Catalog:
    """Return the operations whose requirements this machine meets."""
    missing = missing_requirements(catalog, settings)
    return Catalog(operation for operation in catalog.operations() if operation.name not in missing)


def _why_missing(need: str, settings: Settings) -> str | None:
    check = CHECKS.get(need)
    return f"'{need}' is not a known requirement: {', '.join(CHECKS)}" if check is None else check(settings)
