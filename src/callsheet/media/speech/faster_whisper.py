"""Speech recognition by Whisper, run by faster-whisper in a child process."""

import asyncio
import os
import wave
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from callsheet.domain.errors import BadParams, CallsheetError, ConfigurationError, FFmpegFailed, Problem, Transient
from callsheet.media.ffmpeg.runner import usable_processors
from callsheet.media.speech.contract import Transcript, TranscriptionRequest, Word
from callsheet.processes.child import ProcessLimits, child_environment
from callsheet.processes.json_script import ScriptResult, run_script
from callsheet.settings import Settings

_TRANSCRIBER = Path(__file__).with_name("transcriber.py")
_INHERITED_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
)
"""Environment variables for the download and the cache of models."""
_FORMAT_VERSION = "1"
"""Version of the conversion from the model output to words. A new value invalidates all cached transcripts."""
_UNSPACED_LANGUAGES = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km"})
"""Languages without spaces between words."""


class FasterWhisper:
    """Runs Whisper models in a child process."""

    install_with = "pip install 'callsheet[captions]'"

    def installed(self) -> bool:
        """Return whether faster-whisper is installed."""
        return find_spec("faster_whisper") is not None

    def identity(self, model: str, settings: Settings) -> str:
        """Return the package versions and the fingerprint of the model."""
        releases = [f"{package} {version(package)}" for package in ("faster-whisper", "ctranslate2")]
        return ", ".join([_FORMAT_VERSION, *releases, _fingerprint(model, _find_model(model, settings))])

    async def transcribe(
        self, request: TranscriptionRequest, settings: Settings, on_progress: Callable[[float], None]
    ) -> Transcript:
        """Return the transcript, as the contract specifies."""
        script_request = {
            "audio": str(request.audio),
            "model": await asyncio.to_thread(_find_model, request.model, settings),
            "language": request.language,
            "task": request.task,
            "device": settings.speech_device,
            "threads": usable_processors(),
        }
        output = _TranscriberOutput(request.language, await asyncio.to_thread(_duration, request.audio), on_progress)
        folder = request.audio.parent
        result = await run_script(
            _TRANSCRIBER, script_request, output.read, cwd=folder, env=_environment(), limits=ProcessLimits()
        )
        if output.rejection is not None:
            raise _rejection_error(output.rejection, request, settings)
        if result.code != 0 or not output.complete:
            raise _crash_error(result)
        return output.transcript()


class _TranscriberOutput:
    """Collects the messages of the child process."""

    def __init__(self, language: str | None, seconds: float, on_progress: Callable[[float], None]) -> None:
        self.complete = False
        self.rejection: dict[str, Any] | None = None
        self._words: list[Word] = []
        self._language = language
        self._probability: float | None = None
        self._notes: list[str] = []
        self._seconds = seconds
        self._on_progress = on_progress

    def read(self, message: dict[str, Any]) -> None:
        if "error" in message:
            self.rejection = message
        elif "language" in message:
            self._language, self._probability = message["language"], message["probability"]
        elif "done" in message:
            self._words += self._read_words(message.get("words", ()))
            self._on_progress(min(1.0, message["done"] / self._seconds) if self._seconds else 1.0)
        elif "note" in message:
            self.complete = True
            self._notes += [message["note"]] if message["note"] else []

    def _read_words(self, words: Iterable[Any]) -> Iterator[Word]:
        """Yield words. Whisper marks a word boundary by a leading space, but may omit it at the start of a segment."""
        unspaced = self._language in _UNSPACED_LANGUAGES
        for number, (start, end, text, probability) in enumerate(words):
            if text.strip():
                glued = bool(unspaced or number) and not text[0].isspace()
                yield Word(start, end, text.strip(), probability, glued)

    def transcript(self) -> Transcript:
        if not self._words:
            return Transcript(notes=self._notes)
        return Transcript(self._words, self._language, self._probability, self._notes)


def _find_model(name: str, settings: Settings) -> str:
    """Return the local folder of a model, or its name if there is none."""
    folders = [settings.speech_models / name] if settings.speech_models else []
    if name == settings.caption_model:  # only the settings may contain a path
        folders.append(Path(name).expanduser())
    found = next((folder for folder in folders if (folder / "model.bin").is_file()), None)
    if found is None and name.startswith(("/", ".", "~")):
        raise ConfigurationError(f"CALLSHEET_CAPTION_MODEL is '{name}', but this folder contains no model")
    return str(found.absolute()) if found else name


def _fingerprint(model: str, location: str) -> str:
    if not Path(location).is_absolute():
        return model
    weights = (Path(location) / "model.bin").stat()
    return f"{model} of {weights.st_size} bytes, {weights.st_mtime_ns}"


def _duration(audio: Path) -> float:
    with wave.open(str(audio), "rb") as file:
        return file.getnframes() / file.getframerate()


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ}
    return child_environment(HF_HUB_DISABLE_TELEMETRY="1", **inherited)


def _rejection_error(rejection: dict[str, Any], request: TranscriptionRequest, settings: Settings) -> CallsheetError:
    field, message = rejection["field"], rejection["error"]
    if field == "download":
        return Transient(f"the model '{request.model}' {_availability(settings)} and cannot be downloaded: {message}")
    if field == "model":
        text = f"'{request.model}' {_availability(settings)}, and {message}"
        return BadParams([Problem("model", "unknown_model", text)])
    if field is not None:
        text = f"the model '{request.model}' does not support this: {message}"
        return BadParams([Problem(field, "not_supported", text)])
    return FFmpegFailed(f"the transcription with '{request.model}' failed: {message}")


def _availability(settings: Settings) -> str:
    if settings.speech_models is None:
        return "is not on this worker (CALLSHEET_SPEECH_MODELS is not set)"
    return f"is not in CALLSHEET_SPEECH_MODELS, which contains {_installed_models(settings.speech_models)}"


def _installed_models(folder: Path) -> str:
    try:
        return ", ".join(sorted(path.parent.name for path in folder.glob("*/model.bin"))) or "no model"
    except OSError:
        return "no model"


def _crash_error(result: ScriptResult) -> CallsheetError:
    if result.code == -9:
        return Transient("faster-whisper was killed, probably because memory is exhausted; use a smaller model")
    return FFmpegFailed(f"faster-whisper stopped: {result.error}")
