"""What an engine that writes speech down is asked, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from callsheet.settings import Settings

SAMPLE_RATE = 16_000
"""Of the sound that engines are given, in hertz."""

Task = Literal["transcribe", "translate"]
"""`transcribe` writes down what is said, `translate` puts it into English."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was said, with the punctuation that follows it."""

    start: float
    """Seconds."""
    end: float
    text: str
    probability: float = 1.0
    """How sure the engine is of it, from 0 to 1."""
    glued: bool = False
    """Whether it follows the word before it without a blank, as in Chinese."""


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """What is to be written down."""

    audio: Path
    """A WAV file: 16 bits, one channel, at SAMPLE_RATE."""
    model: str
    language: str | None = None
    """A code such as `de`; None: whichever is heard."""
    task: Task = "transcribe"


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said."""

    words: list[Word] = field(default_factory=list)
    """In order. Empty when nobody speaks."""
    language: str | None = None
    """That of the speech, as a code; None when nobody speaks."""
    language_probability: float | None = None
    """How sure the engine is of the language; None where it was told."""
    notes: list[str] = field(default_factory=list)
    """What was done otherwise than expected, and why."""


class SpeechEngine(Protocol):
    """Something that writes speech down."""

    @property
    def install_with(self) -> str:
        """The command that installs what it needs."""

    def installed(self) -> bool:
        """Tell whether what it needs is there, without loading it."""

    def identity(self, model: str, settings: Settings) -> str:
        """Return what changes when the engine or the model may hear something else than before."""

    async def transcribe(
        self, wish: TranscriptionRequest, settings: Settings, on_progress: Callable[[float], None]
    ) -> Transcript:
        """Write down what is said; `on_progress` gets the share done, from 0 to 1.

        It stops when it is cancelled, and leaves nothing running. Raises BadParams for a model or a language that
        it does not know, Transient when a model cannot be fetched or memory runs out, FFmpegFailed when it fails.
        """
