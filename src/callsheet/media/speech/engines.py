"""Registry of speech recognition engines."""

from callsheet.domain.errors import ConfigurationError
from callsheet.media.speech.contract import SpeechEngine
from callsheet.media.speech.faster_whisper import FasterWhisper

ENGINES: dict[str, SpeechEngine] = {"faster-whisper": FasterWhisper()}


def find_engine(name: str) -> SpeechEngine:
    """Return an installed engine. Raises ConfigurationError with the install command if it is not installed."""
    engine = ENGINES[name]
    if not engine.installed():
        raise ConfigurationError(f"{name} is not installed on this worker: {engine.install_with}")
    return engine
