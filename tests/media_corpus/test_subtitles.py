"""Every subtitle file is burned in, and becomes a track, with the same words at the same times."""

import html
import re
import subprocess
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from callsheet.domain.plan_validation import validate_params
from callsheet.operations.mux import MuxParams, mux
from callsheet.operations.render import RenderParams, render
from unit.media.studio import FakeContext

from .clips import Clips
from .rows.subtitles import SUBTITLES, Caption, SubtitleRow, srt
from .sisters import WHOLE
from .test_corpus import BINARY

pytestmark = pytest.mark.corpus

_SIZE = WIDTH, HEIGHT = 160, 90
_WAYS = ("burned in", "mp4", "mkv", "webm")
_SLACK = 0.02
_TIME = r"(?:(\d+):)?(\d+):(\d+)[.,](\d+)"
_CUE = re.compile(f"{_TIME} --> {_TIME}")
_MARKS = re.compile(r"</?\w[^>]*>|\{\\[^}]*\}|\u2060")


def _cases() -> list[tuple[SubtitleRow, str]]:
    """Return each file with each way; by default with one, which its name decides."""
    return [
        (row, way)
        for row in SUBTITLES
        for number, way in enumerate(_WAYS)
        if WHOLE or crc32(row.name.encode()) % len(_WAYS) == number
    ]


@pytest.mark.parametrize(("row", "way"), _cases(), ids=lambda value: value if isinstance(value, str) else value.name)
async def test_a_subtitle_file_keeps_its_words(row: SubtitleRow, way: str, tmp_path: Path):
    source = tmp_path / row.name
    source.write_bytes(row.content)

    if way == "burned in":
        shown, notes = await _burned_in(source, tmp_path)
        (tmp_path / "plain").mkdir()
        plain = tmp_path / f"plain{source.suffix if row.like else '.srt'}"
        plain.write_bytes(row.like or srt(row.captions).encode())
        expected, _ = await _burned_in(plain, tmp_path / "plain")
        assert np.array_equal(shown, expected)
        assert expected.max() > 128
    else:
        found, notes = await _track(source, tmp_path, way)
        wanted = row.one_by_one if way == "mp4" and row.one_by_one else row.captions
        assert [text for _, _, text in found] == [text for _, _, text in wanted]
        times = [time for start, end, _ in found for time in (start, end)]
        assert times == pytest.approx([time for start, end, _ in wanted for time in (start, end)], abs=_SLACK)

    about_captions = [note for note in notes if "ASS" not in note]
    assert row.notes in " ".join(about_captions)
    assert bool(row.notes) == bool(about_captions)


@cache
def _film(folder: Path, suffix: str) -> Path:
    """Return a black film of 2 s."""
    codec = "libvpx -deadline realtime" if suffix == "webm" else "libx264 -preset ultrafast"
    path = folder / f"film.{suffix}"
    black = f"color=black:s={WIDTH}x{HEIGHT}:r=10:d=2"
    Clips(BINARY, folder).run("-f", "lavfi", "-i", black, "-c:v", *codec.split(), "-pix_fmt", "yuv420p", path)
    return path


async def _burned_in(subtitles: Path, folder: Path) -> tuple[np.ndarray, list[str]]:
    """Return the pixels of a film with burned-in captions, and the notes."""
    stage = FakeContext(folder)
    output = {"width": WIDTH, "height": HEIGHT, "fps": 10, "preset": "ultrafast", "crf": 10}
    scene = {"color": "black", "duration": 2}
    params = {"scenes": [scene], "captions": {"src": str(subtitles)}, "loudness": False, "output": output}
    result = await render.run(stage, validate_params(params, RenderParams))
    raw = _read(stage.kept[0], "-f", "rawvideo", "-pix_fmt", "gray")
    return np.frombuffer(raw, np.uint8), result.notes


async def _track(subtitles: Path, folder: Path, format: str) -> tuple[list[Caption], list[str]]:
    """Return the captions of the track that a file became, without styles, and the notes."""
    stage = FakeContext(folder)
    film = _film(folder, "webm" if format == "webm" else "mp4")
    params = {"video": str(film), "subtitles": [str(subtitles)], "format": format}
    result = await mux.run(stage, validate_params(params, MuxParams))
    output = ["-c:s", "copy", "-f", "webvtt"] if format == "webm" else ["-f", "srt"]
    text = _read(stage.kept[0], "-map", "0:s:0", *output).decode()
    blocks = text.removeprefix("WEBVTT").strip().split("\n\n")
    return [_caption(block, is_html=format == "webm") for block in blocks], result.notes


def _read(path: Path, *args: str) -> bytes:
    command = [str(BINARY), "-v", "error", "-i", str(path), *args, "-"]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def _caption(block: str, *, is_html: bool) -> Caption:
    match = _CUE.search(block)
    assert match, block
    parts = [int(part or 0) for part in match.groups()]
    start, end = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (parts[:4], parts[4:]))
    text = _MARKS.sub("", block[match.end() :]).replace("\\h", " ").strip()
    return start, end, html.unescape(text) if is_html else text
