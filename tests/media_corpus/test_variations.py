"""Random films: container, codecs, rate, length and number of parts vary, and every operation must find them."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .clips import BEEP, X264, Clips
from .sisters import OF_FILMS, OF_SOUND, check_row
from .table import Row
from .test_corpus import BINARY

pytestmark = pytest.mark.corpus

_VP8 = "libvpx -deadline realtime -g 25"
_CONTAINERS = {
    "mp4": (X264, "aac"),
    "mkv": (X264, "flac"),
    "webm": (_VP8, "libopus"),
    "ts": ("mpeg2video -b:v 1M", "mp2"),
    "flv": (X264, "aac -ar 44100"),
    "mov": ("mpeg4 -g 12", "pcm_s16le"),
}


@dataclass(frozen=True)
class Variation:
    """A film, and the operation that reads it."""

    suffix: str
    rate: int
    seconds: float
    parts: int
    channels: int
    operation: str

    @property
    def row(self) -> Row:
        """The film as a row of the corpus."""
        times = tuple(
            number * self.seconds + time
            for number in range(self.parts)
            for time in (0.5, 1.5)
            if time + 0.2 <= self.seconds
        )
        return Row(
            f"variation.{self.suffix}",
            self.make,
            seconds=self.parts * self.seconds,
            frames=None,
            flashes=times,
            beeps=times,
            level=0.5 * self.channels**0.5,
            notes={1: "", 2: "clock" if self.suffix == "ts" else "put behind each other"}[self.parts],
            skip=frozenset({*OF_FILMS, *OF_SOUND} - {self.operation}),
            slack=0.07 * self.parts + 1 / self.rate,
        )

    def make(self, clips: Clips, path: Path) -> None:
        """Write the film."""
        video, audio = _CONTAINERS[self.suffix]
        part = clips.part(f"part.{self.suffix}")
        sound = (BEEP,) * self.channels
        clips.film(part, video, audio, seconds=self.seconds, rate=str(self.rate), sound=sound)
        path.write_bytes(part.read_bytes() * self.parts)


@settings(max_examples=16, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.builds(
        Variation,
        suffix=st.sampled_from(sorted(_CONTAINERS)),
        rate=st.sampled_from([24, 25, 30, 50]),
        seconds=st.sampled_from([1.0, 1.4, 2.0]),
        parts=st.integers(1, 2),
        channels=st.integers(1, 2),
        operation=st.sampled_from(sorted({*OF_FILMS, *OF_SOUND})),
    )
)
def test_a_random_film_is_the_same_in_every_operation(variation: Variation):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "parts").mkdir()
        source = folder / variation.row.name
        variation.make(Clips(BINARY, folder / "parts"), source)

        problems = asyncio.run(check_row(variation.row, source, folder, BINARY))

    assert not problems, "\n".join(problems)
