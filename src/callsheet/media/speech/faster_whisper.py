"""Speech written down by Whisper, as faster-whisper runs it."""

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
_PASSED_ON = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
)
"""Where models are fetched from and kept."""
_TEXTS = "1"
"""Of what is made of the model's words; another number forgets all that was heard before."""
_UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km"})
"""Languages written without blanks between words."""


class FasterWhisper:
    """Runs Whisper in a process of its own."""

    install_with = "pip install 'callsheet[captions]'"

    def installed(self) -> bool:
        """Tell whether faster-whisper is there."""
        return find_spec("faster_whisper") is not None

    def identity(self, model: str, settings: Settings) -> str:
        """Return the releases that listen, and which model it is."""
        releases = [f"{package} {version(package)}" for package in ("faster-whisper", "ctranslate2")]
        return ", ".join([_TEXTS, *releases, _fingerprint(model, _find_model(model, settings))])

    async def transcribe(
        self, wish: TranscriptionRequest, settings: Settings, on_progress: Callable[[float], None]
    ) -> Transcript:
        """Write down what is said, as the contract says."""
        request = {
            "sound": str(wish.audio),
            "model": await asyncio.to_thread(_find_model, wish.model, settings),
            "language": wish.language,
            "task": wish.task,
            "device": settings.speech_device,
            "threads": usable_processors(),
        }
        answer = _Answer(wish.language, await asyncio.to_thread(_seconds, wish.audio), on_progress)
        folder = wish.audio.parent
        ended = await run_script(
            _TRANSCRIBER, request, answer.read, cwd=folder, env=_environment(), limits=ProcessLimits()
        )
        if answer.refusal is not None:
            raise _explained(answer.refusal, wish, settings)
        if ended.code != 0 or not answer.complete:
            raise _crashed(ended)
        return answer.transcript()


class _Answer:
    """What the process has said so far."""

    def __init__(self, told: str | None, seconds: float, on_progress: Callable[[float], None]) -> None:
        self.complete = False
        self.refusal: dict[str, Any] | None = None
        self._words: list[Word] = []
        self._language = told
        self._probability: float | None = None
        self._notes: list[str] = []
        self._seconds = seconds
        self._on_progress = on_progress

    def read(self, line: dict[str, Any]) -> None:
        if "error" in line:
            self.refusal = line
        elif "language" in line:
            self._language, self._probability = line["language"], line["probability"]
        elif "done" in line:
            self._words += self._said(line.get("words", ()))
            self._on_progress(min(1.0, line["done"] / self._seconds) if self._seconds else 1.0)
        elif "note" in line:
            self.complete = True
            self._notes += [line["note"]] if line["note"] else []

    def _said(self, words: Iterable[Any]) -> Iterator[Word]:
        """Whisper puts a blank before a word that stands apart, at times not before the first of a sentence."""
        unspaced = self._language in _UNSPACED
        for number, (start, end, text, probability) in enumerate(words):
            if text.strip():
                glued = bool(unspaced or number) and not text[0].isspace()
                yield Word(start, end, text.strip(), probability, glued)

    def transcript(self) -> Transcript:
        if not self._words:
            return Transcript(notes=self._notes)
        return Transcript(self._words, self._language, self._probability, self._notes)


def _find_model(name: str, settings: Settings) -> str:
    """Return the folder of a model where it lies here, else its name."""
    folders = [settings.speech_models / name] if settings.speech_models else []
    if name == settings.caption_model:  # only the settings may name a folder
        folders.append(Path(name).expanduser())
    found = next((folder for folder in folders if (folder / "model.bin").is_file()), None)
    if found is None and name.startswith(("/", ".", "~")):
        raise ConfigurationError(f"CALLSHEET_CAPTION_MODEL is '{name}', a folder in which no model lies")
    return str(found.absolute()) if found else name


def _fingerprint(model: str, found: str) -> str:
    if not Path(found).is_absolute():
        return model
    weights = (Path(found) / "model.bin").stat()
    return f"{model} of {weights.st_size} bytes, {weights.st_mtime_ns}"


def _seconds(sound: Path) -> float:
    with wave.open(str(sound), "rb") as file:
        return file.getnframes() / file.getframerate()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return child_environment(HF_HUB_DISABLE_TELEMETRY="1", **kept)


def _explained(refusal: dict[str, Any], wish: TranscriptionRequest, settings: Settings) -> CallsheetError:
    about, message = refusal["about"], refusal["error"]
    if about == "download":
        return Transient(f"the model '{wish.model}' {_where(settings)} and could not be downloaded: {message}")
    if about == "model":
        return BadParams([Problem("model", "unknown_model", f"'{wish.model}' {_where(settings)}, and {message}")])
    if about is not None:
        return BadParams([Problem(about, "not_supported", f"the model '{wish.model}' cannot do that: {message}")])
    return FFmpegFailed(f"the speech could not be written down by '{wish.model}': {message}")


def _where(settings: Settings) -> str:
    if settings.speech_models is None:
        return "is not on this worker (CALLSHEET_SPEECH_MODELS names no folder of models)"
    return f"is not in CALLSHEET_SPEECH_MODELS, which holds {_held(settings.speech_models)}"


def _held(folder: Path) -> str:
    try:
        return ", ".join(sorted(path.parent.name for path in folder.glob("*/model.bin"))) or "no model"
    except OSError:
        return "no model"


def _crashed(ended: ScriptResult) -> CallsheetError:
    if ended.code == -9:
        return Transient("faster-whisper was killed, most likely because memory ran out; a smaller model needs less")
    return FFmpegFailed(f"faster-whisper stopped: {ended.error}")
