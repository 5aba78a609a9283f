"""Contract of speech recognition engines."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from callsheet.settings import Settings

SAMPLE_RATE = 16_000
"""Sample rate of the audio that engines receive, in hertz."""

Task = Literal["transcribe", "translate"]
"""`transcribe` writes the spoken language, `translate` writes English."""


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word with the punctuation that follows it."""

    start: float
    """Seconds."""
    end: float
    """Seconds."""
    text: str
    probability: float = 1.0
    """Confidence of the engine, from 0 to 1."""
    glued: bool = False
    """Whether no space separates it from the previous word, as in Chinese."""


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """Input of a transcription."""

    audio: Path
    """A WAV file: 16 bits, one channel, at SAMPLE_RATE."""
    model: str
    language: str | None = None
    """A language code such as `de`; None detects the language."""
    task: Task = "transcribe"


@dataclass(frozen=True, slots=True)
class Transcript:
    """Result of a transcription."""

    words: list[Word] = field(default_factory=list)
    """In order; empty without speech."""
    language: str | None = None
    """Language code of the speech; None without speech."""
    language_probability: float | None = None
    """Confidence of the language detection; None if the request set the language."""
    notes: list[str] = field(default_factory=list)
    """Deviations from the request, with the reason."""


class SpeechEngine(Protocol):
    """A speech recognition engine."""

    @property
    def install_with(self) -> str:
        """The command that installs its dependencies."""

    def installed(self) -> bool:
        """Return whether its dependencies are installed, without loading them."""

    def identity(self, model: str, settings: Settings) -> str:
        """Return a cache key part that identifies the engine, the model and their versions."""

    async def transcribe(
        self, request: TranscriptionRequest, settings: Settings, on_progress: Callable[[float], None]
    ) -> Transcript:
        """Return the transcript. `on_progress` receives the completed share, from 0 to 1.

        A cancelled call leaves no process behind.

        Raises BadParams for an unknown model or language, Transient if the model cannot be downloaded or memory is
        exhausted, FFmpegFailed if the engine fails.
        """
