import asyncio
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg import runner
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.runner import FFmpeg, FFmpegReport
from callsheet.media.probing.output_checks import (
    ExpectedVideo,
    check_frame_count,
    check_stderr,
    missing_fonts,
    verify_video,
)

from ..studio import Studio


def expected(**change: object) -> ExpectedVideo:
    facts: dict[str, object] = {"width": 160, "height": 284, "frames": 30, "rate": Fraction(30), "has_audio": True}
    return ExpectedVideo(**{**facts, **change})  # type: ignore[arg-type]


@pytest.fixture
def film(studio: Studio) -> Path:
    clip = studio.clip("av.mp4", sound="sine=frequency=440:sample_rate=44100")
    return studio.make("av-front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")


async def test_a_video_as_planned_is_accepted(film: Path):
    assert (await verify_video(film, expected())).frames == 30
    assert (await verify_video(film, expected(frames=31))).frames == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 45}, "30 frames instead of 45; 1.0.. s instead of 1.500 s"),
        ({"width": 162}, "160x284 instead of 162x284"),
        ({"has_audio": False}, "an audio stream where none was planned"),
    ],
)
async def test_a_video_that_differs_from_the_plan_is_rejected(film: Path, change: dict[str, object], message: str):
    with pytest.raises(FFmpegFailed, match=message):
        await verify_video(film, expected(**change))


async def test_missing_audio_is_reported(studio: Studio):
    with pytest.raises(FFmpegFailed, match="no audio stream"):
        await verify_video(studio.clip("silent.mp4"), expected())


def test_missing_frames_are_reported():
    with pytest.raises(FFmpegFailed, match=r"scenes\[1\]: FFmpeg wrote 10 of 60 frames"):
        check_frame_count(FFmpegReport(0.3, 10, 1.0, 1.0, ""), 60, "scenes[1]")


def test_a_single_missing_frame_is_reported():
    with pytest.raises(FFmpegFailed, match="FFmpeg wrote 0 of 1 frames"):
        check_frame_count(FFmpegReport(0.3, 0, 1.0, 1.0, ""), 1, "scenes[1]")


def test_stderr_is_checked_although_the_run_succeeded():
    check_stderr("[x @ 0x1] a harmless remark", "scenes[0]")
    with pytest.raises(FFmpegFailed, match="damaged or incomplete"):
        check_stderr("[mov @ 0x1] stream 0, offset 0x30: partial file", "scenes[0]")


# In each of the following cases FFmpeg exits with 0.

ENCODING = ["-c:v", "libx264", "-preset", "ultrafast", "-an"]


@pytest.fixture
def whole(studio: Studio) -> Path:
    """Two seconds with the index at the front."""
    clip = studio.clip("whole.mp4", "testsrc2=size=64x64:rate=30", seconds=2)
    return studio.make("front.mp4", "-i", str(clip), "-c", "copy", "-movflags", "+faststart")


def truncated(whole: Path, cut: Path) -> Path:
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    return cut


def corrupted(whole: Path, corrupt: Path) -> Path:
    data = bytearray(whole.read_bytes())
    for place in range(data.find(b"mdat") + 1000, len(data), 1009):
        data[place] ^= 0xFF
    corrupt.write_bytes(data)
    return corrupt


async def test_a_truncated_upload_is_reported(ffmpeg: FFmpeg, whole: Path, tmp_path: Path):
    cut = truncated(whole, tmp_path / "cut.mp4")

    report = await ffmpeg.run([*media_input(cut), *ENCODING, file_url(tmp_path / "out.mp4")])

    with pytest.raises(FFmpegFailed, match="damaged or incomplete"):
        check_stderr(report.stderr, "the clip")
    with pytest.raises(FFmpegFailed, match="of 60 frames"):
        check_frame_count(report, 60, "the clip")


async def test_corrupted_data_is_reported(ffmpeg: FFmpeg, whole: Path, tmp_path: Path):
    corrupt = corrupted(whole, tmp_path / "corrupt.mp4")

    report = await ffmpeg.run([*media_input(corrupt), *ENCODING, file_url(tmp_path / "out.mp4")])

    with pytest.raises(FFmpegFailed, match="damaged or incomplete"):
        check_stderr(report.stderr, "the clip")


async def test_a_start_after_the_end_is_reported(ffmpeg: FFmpeg, whole: Path, tmp_path: Path):
    report = await ffmpeg.run([*media_input(whole, start=30), *ENCODING, file_url(tmp_path / "out.mp4")])

    with pytest.raises(FFmpegFailed, match="wrote 0 of 30 frames"):
        check_frame_count(report, 30, "the clip")
    with pytest.raises(FFmpegFailed):
        await verify_video(tmp_path / "out.mp4", expected(width=64, height=64, has_audio=False))


async def test_a_transition_after_the_end_of_a_scene_is_reported(ffmpeg: FFmpeg, whole: Path, tmp_path: Path):
    graph = "[0:v]settb=1/30[a];[1:v]settb=1/30[b];[a][b]xfade=duration=0.5:offset=5"
    args = [*media_input(whole), *media_input(whole), "-filter_complex", graph, *ENCODING]

    report = await ffmpeg.run([*args, file_url(tmp_path / "out.mp4")])

    with pytest.raises(FFmpegFailed, match="of 210 frames; the source is truncated"):
        check_frame_count(report, 210, "the film")


async def test_text_without_any_font_is_reported(
    ffmpeg: FFmpeg, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "none").mkdir()
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><dir>{tmp_path}/none</dir></fontconfig>")
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n")
    monkeypatch.setattr(runner, "FONTCONFIG", tmp_path / "fonts.conf")

    report = await ffmpeg.run([*media_input(whole), "-vf", "subtitles=a.srt", *ENCODING, "out.mp4"], cwd=tmp_path)

    with pytest.raises(FFmpegFailed, match="no usable font was found, so no text was drawn"):
        check_stderr(report.stderr, "the film")


async def test_a_reached_size_limit_is_reported(ffmpeg: FFmpeg, whole: Path, tmp_path: Path):
    args = [*media_input(whole), "-vf", "scale=640:360:flags=neighbor", *ENCODING, "-movflags", "+faststart"]

    await ffmpeg.run([*args, "-fs", "60000", file_url(tmp_path / "out.mp4")])

    with pytest.raises(FFmpegFailed, match="frames instead of 60"):
        await verify_video(tmp_path / "out.mp4", expected(width=640, height=360, frames=60, has_audio=False))


def test_a_run_that_was_asked_to_quit_is_reported(studio: Studio, tmp_path: Path):
    out = tmp_path / "out.mp4"
    args = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", *ENCODING, "-pix_fmt", "yuv420p", str(out)]
    asked = subprocess.run([str(studio.binary), "-v", "error", *args], input=b"q", timeout=20)

    assert asked.returncode == 0
    with pytest.raises(FFmpegFailed):
        asyncio.run(verify_video(out, expected(width=64, height=64, frames=300, has_audio=False)))


async def test_the_runner_gives_ffmpeg_no_stdin(script):
    captured = await script("readlink /proc/self/fd/0").capture([])

    assert captured.stdout.strip() == b"/dev/null"


async def test_an_index_at_the_end_is_reported(studio: Studio, whole: Path, tmp_path: Path):
    plan = expected(width=64, height=64, frames=60, has_audio=False)
    late = studio.make("late-index.mp4", "-i", str(whole), "-c", "copy")

    assert (await verify_video(whole, plan)).frames == 60
    with pytest.raises(FFmpegFailed, match="its index is at the end"):
        await verify_video(late, plan)


def test_characters_without_a_font_are_detected():
    assert missing_fonts("[Parsed_subtitles_0 @ 0x1] fontselect: failed to find any fallback with glyph 0x1F3AC")
