"""Speech written down by Whisper, as faster-whisper runs it."""

import asyncio
import json
import os
import sys
import wave
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from callsheet.domain.errors import BadParams, CallsheetError, MediaFailed, Problem, Transient
from callsheet.media.child import Limits, plain_environment, started
from callsheet.media.runner import usable_processors
from callsheet.media.speech.contract import Transcript, Wish, Word
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


class FasterWhisper:
    """Runs Whisper in a process of its own."""

    install_with = "pip install 'callsheet[captions]'"

    def installed(self) -> bool:
        """Tell whether faster-whisper is there."""
        return find_spec("faster_whisper") is not None

    async def transcribe(self, wish: Wish, settings: Settings, on_progress: Callable[[float], None]) -> Transcript:
        """Write down what is said, as the contract says."""
        request = {
            "sound": str(wish.sound),
            "model": await asyncio.to_thread(_find_model, wish.model, settings),
            "language": wish.language,
            "task": wish.task,
            "device": settings.speech_device,
            "threads": usable_processors(),
        }
        length = await asyncio.to_thread(_seconds, wish.sound)
        answer = _Answer(length, on_progress)
        # -P: the folder of the script holds names such as `faster_whisper` that must not hide other modules.
        argv = [sys.executable, "-P", str(_TRANSCRIBER), json.dumps(request)]
        async with started(argv, cwd=wish.sound.parent, env=_environment(), limits=Limits()) as process:
            assert process.stdout is not None and process.stderr is not None  # noqa: S101 - both are pipes
            complaints = asyncio.create_task(process.stderr.read())
            try:
                async for line in process.stdout:
                    answer.read(json.loads(line))
                code = await process.wait()
                said = (await complaints).decode("utf-8", "replace").strip().splitlines()
            finally:
                complaints.cancel()
        if answer.refusal is not None:
            raise _explained(answer.refusal, wish, settings)
        if code != 0 or answer.found is None:
            raise _crashed(code, said)
        return answer.transcript(told=wish.language)


class _Answer:
    """What the process has said so far."""

    def __init__(self, seconds: float, on_progress: Callable[[float], None]) -> None:
        self.words: list[Word] = []
        self.found: dict[str, Any] | None = None
        self.refusal: dict[str, Any] | None = None
        self._seconds = seconds
        self._on_progress = on_progress

    def read(self, line: dict[str, Any]) -> None:
        if "error" in line:
            self.refusal = line
        elif "language" in line:
            self.found = line
        elif "done" in line:
            self.words += _words(line.get("words", ()))
            self._on_progress(min(1.0, line["done"] / self._seconds) if self._seconds else 1.0)

    def transcript(self, *, told: str | None) -> Transcript:
        assert self.found is not None  # noqa: S101 - asked before
        if not self.words:
            return Transcript(notes=_notes(self.found))
        probability = None if told else self.found["probability"]
        return Transcript(self.words, self.found["language"], probability, _notes(self.found))


def _words(said: list[list[Any]]) -> list[Word]:
    """Return the words of one stretch of speech; Whisper puts a blank before each word that stands apart."""
    return [
        Word(start, end, text.strip(), probability, glued=number > 0 and not text[0].isspace())
        for number, (start, end, text, probability) in enumerate(said)
        if text.strip()
    ]


def _notes(found: dict[str, Any]) -> list[str]:
    return [found["note"]] if found["note"] else []


def _find_model(name: str, settings: Settings) -> str:
    """Return the folder of a model where it lies here, else its name."""
    folders = [settings.speech_models / name] if settings.speech_models else []
    if name == settings.caption_model:  # only the settings may name a folder
        folders.append(Path(name).expanduser())
    return next((str(folder.absolute()) for folder in folders if (folder / "model.bin").is_file()), name)


def _seconds(sound: Path) -> float:
    with wave.open(str(sound), "rb") as file:
        return file.getnframes() / file.getframerate()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return plain_environment(HF_HUB_DISABLE_TELEMETRY="1", **kept)


def _explained(refusal: dict[str, Any], wish: Wish, settings: Settings) -> CallsheetError:
    about, message = refusal["about"], refusal["error"]
    if about == "download":
        return Transient(f"the model '{wish.model}' {_where(settings)} and could not be downloaded: {message}")
    if about == "model":
        return BadParams([Problem("model", "unknown_model", f"'{wish.model}' {_where(settings)}, and {message}")])
    if about is not None:
        return BadParams([Problem(about, "not_supported", f"the model '{wish.model}' cannot do that: {message}")])
    return MediaFailed(f"the speech could not be written down by '{wish.model}': {message}")


def _where(settings: Settings) -> str:
    if settings.speech_models is None:
        return "is not on this worker (CALLSHEET_SPEECH_MODELS names no folder of models)"
    return f"is not in CALLSHEET_SPEECH_MODELS, which holds {_held(settings.speech_models)}"


def _held(folder: Path) -> str:
    try:
        return ", ".join(sorted(path.parent.name for path in folder.glob("*/model.bin"))) or "no model"
    except OSError:
        return "no model"


def _crashed(code: int, said: list[str]) -> CallsheetError:
    if code == -9:
        return Transient("faster-whisper was killed, most likely because memory ran out; a smaller model needs less")
    return MediaFailed(f"faster-whisper stopped: {said[-1] if said else f'exit status {code}'}")
