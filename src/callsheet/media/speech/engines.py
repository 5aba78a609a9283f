"""The engines that are known here."""

from callsheet.domain.errors import ConfigurationError
from callsheet.media.speech.contract import SpeechEngine
from callsheet.media.speech.faster_whisper import FasterWhisper

ENGINES: dict[str, SpeechEngine] = {"faster-whisper": FasterWhisper()}


def find_engine(name: str) -> SpeechEngine:
    """Return an engine that is ready to be used; raises ConfigurationError that says how to install it where it is not."""
    engine = ENGINES[name]
    if not engine.installed():
        raise ConfigurationError(f"{name} is not installed on this worker: {engine.install_with}")
    return engine
