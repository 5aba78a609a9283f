"""Speech synthesis by hibari-tts: one English voice, run on the CPU in a child process."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from callsheet.domain.errors import BadParams, FFmpegFailed, Problem, Transient
from callsheet.media.voice.word_times import TimedWord
from callsheet.processes.child import ProcessLimits
from callsheet.processes.json_script import run_script

INSTALL_WITH = "pip install 'callsheet[speech]'"
"""The command that installs its dependencies."""

_SYNTHESIZER = Path(__file__).with_name("synthesizer.py")


@dataclass(frozen=True, slots=True)
class SpokenFile:
    """The audio of one sentence."""

    path: Path
    """A WAV file: 16 bits, one channel."""
    words: list[TimedWord] | None
    """Words with their times in the file; None if the engine does not report them."""


def installed() -> bool:
    """Return whether hibari-tts is installed, without loading it."""
    return find_spec("hibari") is not None


def foreign_letters(text: str) -> str:
    """Return the first letters of a text that are not Latin, which hibari-tts cannot speak."""
    found = [
        letter for letter in text if letter.isalpha() and ord(letter) > 0x24F and not 0x1E00 <= ord(letter) < 0x1F00
    ]
    return "".join(dict.fromkeys(found))[:10]


async def synthesize(
    texts: Sequence[str], folder: Path, *, speed: float, seed: int, on_progress: Callable[[float], None]
) -> list[SpokenFile]:
    """Speak sentences, and return a file in `folder` for each. Equal arguments produce equal audio.

    `speed` is a factor: 2 is twice as fast. `on_progress` receives the completed share, from 0 to 1. A cancelled call
    leaves no process behind.

    Raises BadParams for a sentence without English sounds, Transient if memory is exhausted, FFmpegFailed if the engine
    fails.
    """
    listed = folder / "sentences.json"
    await asyncio.to_thread(listed.write_text, json.dumps(list(texts)), encoding="utf-8")
    output = _SynthesizerOutput(folder, len(texts), on_progress)
    request = {"texts": str(listed), "folder": str(folder), "seed": seed, "speed": speed}
    result = await run_script(_SYNTHESIZER, request, output.read, cwd=folder, limits=ProcessLimits())
    if output.rejection is not None:
        raise BadParams([Problem("text", "unsupported", output.rejection)])
    if result.code == -9:
        raise Transient("hibari-tts was killed, probably because memory is exhausted")
    if result.code != 0 or len(output.files) != len(texts):
        raise FFmpegFailed(f"hibari-tts stopped: {result.error}")
    return output.files


class _SynthesizerOutput:
    """Collects the messages of the child process."""

    def __init__(self, folder: Path, total: int, on_progress: Callable[[float], None]) -> None:
        self.files: list[SpokenFile] = []
        self.rejection: str | None = None
        self._folder = folder
        self._total = total
        self._on_progress = on_progress

    def read(self, message: dict[str, Any]) -> None:
        if "error" in message:
            self.rejection = message["error"]
            return
        words = None if message["words"] is None else [TimedWord(*word) for word in message["words"]]
        self.files.append(SpokenFile(self._folder / f"sentence-{message['sentence']}.wav", words))
        self._on_progress(len(self.files) / self._total)
