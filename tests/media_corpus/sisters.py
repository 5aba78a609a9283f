"""The operations that read media, each with what it must find in a file of the corpus."""

import os
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from zlib import crc32

from tests.support.tiny_models import write_models

from callsheet.domain.errors import CallsheetError
from callsheet.domain.media_source import MediaSource
from callsheet.domain.plan_validation import validate_params
from callsheet.media.speech.audio_extract import extract_speech
from callsheet.operations import concat as concat_module
from callsheet.operations import extract_audio as extract_audio_module
from callsheet.operations import finish as finish_module
from callsheet.operations import interpolate as interpolate_module
from callsheet.operations import mux as mux_module
from callsheet.operations import preview as preview_module
from callsheet.operations import probe as probe_module
from callsheet.operations import render as render_module
from callsheet.operations import split as split_module
from callsheet.operations import transcode as transcode_module
from callsheet.operations import upscale as upscale_module
from callsheet.operations.media_inputs import read_media
from unit.media.studio import FakeContext

from .clips import RATE
from .measure import SoundFacts, corners_of_image, film, key_frames, sound
from .table import BY_TURNS, FILTERED, Row

OPERATIONS = {
    "probe": probe_module.probe,
    "preview": preview_module.preview,
    "render": render_module.render,
    "finish": finish_module.finish,
    "transcode": transcode_module.transcode,
    "concat": concat_module.concat,
    "split": split_module.split,
    "mux": mux_module.mux,
    "extract-audio": extract_audio_module.extract_audio,
    "upscale": upscale_module.upscale,
    "interpolate": interpolate_module.interpolate,
}
_ENCODE = {"preset": "ultrafast", "crf": 30}
_PADDING = 0.15
"""Seconds that lossy audio may be longer."""
_LEVEL_SLACK = 0.12
WHOLE = os.environ.get("WHOLE_CORPUS") == "1"
"""Whether each file goes through all operations; else through a third of them, which its name decides."""
_FLASH = 0.2
"""Seconds that a flash and a beep last."""


class Check:
    """Runs operations on one file, and collects what differs from its row."""

    def __init__(self, row: Row, source: Path, folder: Path, binary: Path) -> None:
        self.row = row
        self.source = str(source)
        self.problems: list[str] = []
        self._folder = folder
        self.binary = binary
        self._operation = ""

    async def run(self, name: str, **params: Any) -> tuple[Any, list[Path]]:
        """Run an operation; return its result and its files. The notes must be those of the row."""
        stage = self.context(name)
        operation = OPERATIONS[name]
        result = await operation.run(stage, validate_params(params, operation.params))
        if self.row.notes not in " ".join(getattr(result, "notes", [self.row.notes])):
            self.problems.append(f"{name}: the notes are {result.notes}, not '{self.row.notes}'")
        return result, stage.kept

    def context(self, name: str) -> FakeContext:
        """Return the context of an operation."""
        self._operation = name
        folder = self._folder / f"{name}{len([*self._folder.glob(f'{name}*')]) or ''}"
        folder.mkdir()
        if name in ("upscale", "interpolate"):
            return FakeContext(folder, models_dir=write_models(self._folder / "models"))
        return FakeContext(folder)

    def fail(self, problem: str) -> None:
        """Note a difference."""
        self.problems.append(f"{self._operation}: {problem}")

    def expect(self, what: str, found: float, right: float, slack: float) -> None:
        """Note a number that is not right."""
        if abs(found - right) > slack:
            self.fail(f"{what} {found:.3f}, not {right:.3f}")

    def expect_times(self, what: str, found: Sequence[float], right: Sequence[float], copies: int = 1) -> None:
        """Note times that are not right."""
        slack = self.row.slack * copies
        if len(found) != len(right) or any(abs(a - b) > slack for a, b in zip(found, right, strict=True)):
            shown = ", ".join(f"{time:.2f}" for time in found) or "none"
            self.fail(f"{what} at {shown}, not at {', '.join(map(str, right))}")

    def expect_corners(self, found: Sequence[str]) -> None:
        """Note colors that are not those of the corners."""
        if self.row.corners and tuple(found) != self.row.corners:
            self.fail(f"corners {' '.join(found)}, not {' '.join(self.row.corners)}")

    def expect_level(self, found: float) -> None:
        """Note sound that is too loud or too quiet."""
        if self.row.level is not None and self.row.beeps:
            self.expect("level", found, self.row.level, _LEVEL_SLACK)

    def expect_film(self, path: Path, *, frames: int | None, copies: int = 1) -> None:
        """Check picture and sound of a file that shows the row's film once or several times."""
        found = film(self.binary, path, has_audio=bool(self.row.beeps))
        starts = [number * self.row.seconds for number in range(copies)]
        self.expect_times("flashes", found.flashes, [start + t for start in starts for t in self.row.flashes], copies)
        self.expect_corners(found.corners)
        if frames is not None:
            self.expect("frames", found.frames, frames * copies, copies * max(1, self.row.slack * RATE))
        if self.row.beeps:
            self.expect_times("beeps", found.beeps, [start + t for start in starts for t in self.row.beeps], copies)
            self.expect_level(found.level)

    def expect_sound(self, path: Path) -> None:
        """Check the length and the beeps of an audio file."""
        found = sound(self.binary, path)
        self.expect("seconds", found.seconds, self.row.seconds, self.row.slack + _PADDING)
        self.expect_times("beeps", found.beeps, self.row.beeps)
        self.expect_level(found.level)


async def probe(check: Check) -> None:
    """The facts without decoding."""
    result, _ = await check.run("probe", src=check.source)
    check.expect("seconds", result.duration, check.row.seconds, check.row.slack + _PADDING)
    if check.row.flashes:
        check.expect("width", result.width, check.row.size[0], 0)
        check.expect("height", result.height, check.row.size[1], 0)
    for name, value in check.row.tags.items():
        if result.tags.get(name) != value:
            check.fail(f"tag {name} {result.tags.get(name)}, not {value}")


async def preview(check: Check) -> None:
    """A frame, and the tiles of a sprite."""
    time = check.row.flashes[0] + 0.1
    sprite = {"count": 4, "width": 48, "columns": 2}
    result, files = await check.run("preview", src=check.source, times=[time], accuracy="exact", sprite=sprite)
    check.expect("the time of the frame", result.times[0], time, check.row.slack)
    check.expect_corners(corners_of_image(next(file for file in files if file.name.startswith("frame"))))
    sheet = next(file for file in files if file.name.startswith("sprite") and file.suffix == ".jpg")
    check.expect_corners(corners_of_image(sheet, (0, 0, result.sprite.width, result.sprite.height)))


async def caption(check: Check) -> None:
    """The speech that is recognized."""
    stage = check.context("caption")
    media = await read_media(stage, MediaSource(check.source), "src", "audio")
    speech = await extract_speech(stage.ffmpeg, media, stage.dir / "speech.wav")
    check.expect("seconds", speech.seconds, check.row.seconds, check.row.slack + _PADDING)
    check.expect_times("beeps", sound(check.binary, stage.dir / "speech.wav").beeps, check.row.beeps)


async def extract_audio(check: Check) -> None:
    """The audio as a file."""
    _, files = await check.run("extract-audio", src=check.source, format="wav")
    check.expect_sound(files[0])


async def render(check: Check) -> None:
    """A film of one scene."""
    output = {**_canvas(check.row), "fps": RATE, **_ENCODE}
    _, files = await check.run("render", scenes=[check.source], loudness=False, output=output)
    check.expect_film(files[0], frames=round(check.row.seconds * RATE))


def _canvas(row: Row) -> dict[str, int]:
    return {"width": row.size[0] // 2 * 2, "height": row.size[1] // 2 * 2}


async def render_audio(check: Check) -> None:
    """Sound under a black picture."""
    scene = {"color": "black", "duration": check.row.seconds}
    output = {"width": 32, "height": 32, "fps": RATE, **_ENCODE}
    _, files = await check.run("render", scenes=[scene], audioClips=[check.source], loudness=False, output=output)
    check.expect_sound(files[0])


async def finish(check: Check) -> None:
    """The same film in a size of the social networks."""
    canvas = _canvas(check.row)
    _, files = await check.run("finish", video=check.source, fit="contain", loudness=False, **canvas, **_ENCODE)
    check.expect_film(files[0], frames=None)


async def transcode(check: Check) -> None:
    """The same film in H.264."""
    _, files = await check.run("transcode", src=check.source, **_ENCODE)
    check.expect_film(files[0], frames=None)


async def concat(check: Check) -> None:
    """The film twice."""
    _, files = await check.run("concat", sources=[check.source, check.source], **_ENCODE)
    check.expect_film(files[0], frames=None, copies=2)


async def concat_audio(check: Check) -> None:
    """The sound twice."""
    result, files = await check.run("concat", sources=[check.source, check.source])
    check.expect("seconds", result.duration, 2 * check.row.seconds, 2 * (check.row.slack + _PADDING))
    found = sound(check.binary, files[0])
    check.expect("beeps", len(found.beeps), 2 * len(check.row.beeps), 0)
    check.expect_level(found.level)


async def split(check: Check) -> None:
    """Two halves."""
    # The parts of a file that is a little longer than 2 s have a last one of a single frame.
    parts = {"every": 1} if 2 < check.row.seconds < 2 + 2 / RATE else {"count": 2}
    result, files = await check.run("split", src=check.source, **parts, **_ENCODE)
    starts = [0.0, *accumulate(part.duration for part in result.parts)]
    check.expect("seconds", starts[-1], check.row.seconds, check.row.slack + _PADDING)
    white, loud = [], []
    for start, file in zip(starts, files, strict=False):
        flashes, played = _facts(check, file)
        white += [start + time for time in flashes]
        loud += [start + time for time in played.beeps]
    check.expect_times("flashes", _begun(white), check.row.flashes)
    if check.row.beeps:
        check.expect_times("beeps", _begun(loud), check.row.beeps)


def _begun(times: Sequence[float]) -> list[float]:
    """Return the times without those at which a part only shows the rest of a flash, or plays that of a beep."""
    return [time for time, before in zip(times, [-1.0, *times], strict=False) if time - before > _FLASH]


def _facts(check: Check, path: Path) -> tuple[list[float], SoundFacts]:
    if not check.row.flashes:
        return [], sound(check.binary, path)
    facts = film(check.binary, path, has_audio=bool(check.row.beeps))
    check.expect_corners(facts.corners)
    return facts.flashes, SoundFacts(0.0, facts.beeps, facts.level)


async def mux(check: Check) -> None:
    """The film with its own audio as an added track."""
    if not check.row.beeps:
        return
    format = None if check.source.endswith((".mp4", ".mov")) else "mkv"
    _, files = await check.run("mux", video=check.source, audio=[check.source], format=format)
    check.expect_film(files[0], frames=None)


async def hls(check: Check) -> None:
    """The same film in segments of a second."""
    _, files = await check.run("transcode", src=check.source, format="hls", segmentSeconds=1, preset="ultrafast")
    playlist = next(file for file in files if file.name == "video.m3u8")
    text = playlist.read_text()
    durations = [float(time) for time in re.findall(r"#EXTINF:([\d.]+),", text)]
    check.expect("the longest segment", max(durations), 1.0, check.row.slack)
    check.expect("the sum of the segments", sum(durations), check.row.seconds, check.row.slack)
    (target,) = re.findall(r"#EXT-X-TARGETDURATION:(\d+)", text)
    check.expect("the target duration", int(target), 1, 0)
    found = film(check.binary, playlist, has_audio=False)
    check.expect_times("flashes", found.flashes, check.row.flashes)
    check.expect("key frames", key_frames(check.binary, playlist), len(durations), 0)
    if check.row.beeps:
        played = sound(check.binary, next(file for file in files if file.name == "sound.m3u8"))
        check.expect_times("beeps", played.beeps, check.row.beeps)


async def overlay(check: Check) -> None:
    """The film over green, which is seen through its transparent pixels."""
    over = {"src": check.source, "scale": 1.0}
    scene = {"color": "#1EC81E", "duration": check.row.seconds, "overlays": [over]}
    output = {**_canvas(check.row), "fps": RATE, **_ENCODE}
    _, files = await check.run("render", scenes=[scene], loudness=False, output=output)
    found = film(check.binary, files[0], has_audio=False, colorful=True)
    check.expect_times("flashes", found.flashes, check.row.flashes)
    check.expect_corners(found.corners)
    if found.middle != ("green" if check.row.clear else "black"):
        check.fail(f"{found.middle} in the middle")


async def upscale(check: Check) -> None:
    """The film at twice its size."""
    _, files = await check.run("upscale", src=check.source, model="double", crf=20, preset="ultrafast")
    check.expect_film(files[-1], frames=None)


async def interpolate(check: Check) -> None:
    """The film with twice its frames."""
    _, files = await check.run("interpolate", src=check.source, model="blend", crf=20, preset="ultrafast")
    check.expect_film(files[-1], frames=None)


Sister = Callable[[Check], Awaitable[None]]

OF_FILMS: dict[str, Sister] = {
    "probe": probe,
    "preview": preview,
    "render": render,
    "finish": finish,
    "transcode": transcode,
    "concat": concat,
    "split": split,
    "mux": mux,
}
OF_SOUND: dict[str, Sister] = {"extract-audio": extract_audio, "caption": caption}
OF_SOUND_ALONE: dict[str, Sister] = {"probe": probe, "render": render_audio, "split": split, "concat": concat_audio}
FURTHER: dict[str, Sister] = {"upscale": upscale, "interpolate": interpolate, "hls": hls, "overlay": overlay}


def sisters(row: Row) -> Iterator[tuple[str, Sister]]:
    """Yield the operations that take a file of this kind."""
    operations = {**(OF_FILMS if row.flashes else OF_SOUND_ALONE), **(OF_SOUND if row.beeps else {})}
    names = [name for name in operations if name not in row.skip]
    if row.skip >= FILTERED:
        turns = [name for name in BY_TURNS if name in names]
        chosen = turns[crc32(row.name.encode()) % len(turns)] if turns else None
        names = [name for name in names if name not in turns or name == chosen]
    if not WHOLE:
        third = crc32(row.name.encode()) % 3
        names = [name for place, name in enumerate(names) if name == "probe" or place % 3 == third]
    yield from ((name, operations[name]) for name in names)
    yield from ((name, each) for name, each in FURTHER.items() if name in row.also)


async def check_row(row: Row, source: Path, folder: Path, binary: Path) -> list[str]:
    """Return what the operations find in a file that differs from its row."""
    check = Check(row, source, folder, binary)
    for name, sister in sisters(row):
        try:
            await sister(check)
        except CallsheetError as error:
            found = f"{error.message} {getattr(error, 'problems', None) or ''}"
            if not row.refused or row.refused not in found:
                check.problems.append(f"{name}: {found}")
        else:
            if row.refused:
                check.fail(f"it was not refused: '{row.refused}'")
    return check.problems
