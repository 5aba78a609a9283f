from pathlib import Path
from typing import Any

import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.probe import ProbeResult, probe


async def run_probe(stage: FakeContext, path: Path, **params: Any) -> ProbeResult:
    result = await probe.run(stage, validate_params({"src": str(path), **params}, probe.params))
    assert isinstance(result, ProbeResult)
    return result


@pytest.fixture
def rich(studio: Studio, tmp_path: Path) -> Path:
    """A file with two audio streams, subtitles, chapters, and tags, some of them private."""
    picture = studio.clip("plain.mp4", "testsrc2=size=160x90:rate=25", seconds=2)
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHi\n")
    chapters = ";FFMETADATA1\ntitle=My film\nlocation=+52.5+013.4/\nmake=Phone\n"
    chapters += "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=Opening\n"
    (tmp_path / "meta.txt").write_text(chapters)
    sounds = ["-f", "lavfi", "-i", "sine=d=2", "-f", "lavfi", "-i", "anoisesrc=d=2,aformat=channel_layouts=5.1"]
    texts = ["-i", str(tmp_path / "s.srt"), "-i", str(tmp_path / "meta.txt")]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map_metadata", "4", "-map_chapters", "4"]
    tags = ["-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng", "-metadata:s:a:1", "title=Room"]
    coding = ["-c:v", "copy", "-c:a", "aac", "-c:s", "srt", "-t", "2"]
    return studio.make("rich.mkv", "-i", str(picture), *sounds, *texts, *maps, *tags, *coding)


async def test_every_stream_is_reported(stage: FakeContext, rich: Path):
    found = await run_probe(stage, rich)

    size = rich.stat().st_size  # noqa: ASYNC240 - small, and nothing else runs
    picture, mono, surround, text = found.streams
    assert (found.name, found.still, found.size) == ("rich.mkv", False, size)
    assert (picture.type, picture.codec, picture.width, picture.height, picture.fps) == ("video", "h264", 160, 90, 25)
    assert (picture.pixel_format, picture.bit_depth, picture.hdr) == ("yuv420p", 8, None)
    assert (mono.type, mono.codec, mono.channels, mono.channel_layout, mono.language) == (
        "audio",
        "aac",
        1,
        "mono",
        "ger",
    )
    assert (surround.channels, surround.channel_layout, surround.language, surround.title) == (6, "5.1", "eng", "Room")
    assert (text.type, text.codec) == ("subtitle", "subrip")
    assert found.loudness is None and found.counted is None


async def test_chapters_and_tags_are_reported_without_private_tags(stage: FakeContext, rich: Path):
    found = await run_probe(stage, rich)

    assert [(c.start, c.end, c.title) for c in found.chapters] == [(0, 1, "Opening")]
    assert found.tags["title"] == "My film"
    assert not {"location", "make"} & found.tags.keys()
    assert "52.5" not in found.model_dump_json()


async def test_loudness_is_measured(stage: FakeContext, studio: Studio):
    tone = studio.sound("tone.wav", "sine=frequency=1000:sample_rate=48000,volume=-10dB,aformat=channel_layouts=stereo")

    found = await run_probe(stage, tone, loudness=True)

    assert found.loudness is not None and found.loudness.integrated is not None and found.loudness.true_peak is not None
    # An eighth of full scale, 10 dB less, and 3 dB less on each of two sides.
    assert found.loudness.integrated == pytest.approx(-31.1, abs=0.3)
    assert found.loudness.true_peak == pytest.approx(-31.1, abs=0.3)
    assert found.loudness.range == pytest.approx(0, abs=0.1)


async def test_the_loudness_of_silence_is_null(stage: FakeContext, studio: Studio):
    found = await run_probe(stage, studio.sound("silence.wav", "anullsrc=r=48000:cl=stereo"), loudness=True)

    assert found.loudness is not None
    assert found.loudness.integrated is None
    assert ProbeResult.model_validate_json(found.model_dump_json()) == found


async def test_frames_are_counted_by_decoding(stage: FakeContext, studio: Studio):
    clip = studio.clip("plain.mp4", "testsrc2=size=160x90:rate=25", seconds=2)
    uneven = studio.make("vfr.mkv", "-i", str(clip), "-vf", "select='lt(n,10)+not(mod(n,5))'", "-fps_mode", "vfr")

    found = await run_probe(stage, uneven, count_frames=True)

    assert found.frames is None
    assert found.counted is not None
    assert (found.counted.frames, found.counted.damaged) == (18, False)


async def test_damage_is_reported_when_frames_are_counted(stage: FakeContext, studio: Studio, tmp_path: Path):
    clip = studio.clip("plain.mp4", "testsrc2=size=160x90:rate=25", seconds=2)
    corrupt = bytearray(clip.read_bytes())
    for position in range(corrupt.find(b"mdat") + 1000, corrupt.find(b"moov") - 100, 997):
        corrupt[position] ^= 0xFF
    (tmp_path / "corrupt.mp4").write_bytes(corrupt)

    found = await run_probe(stage, tmp_path / "corrupt.mp4", count_frames=True)

    assert found.counted is not None and found.counted.damaged


async def test_hdr_and_non_square_pixels_are_reported(stage: FakeContext, studio: Studio):
    params = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv,setsar=4/3"
    color_args = [
        "-color_primaries",
        "bt2020",
        "-color_trc",
        "smpte2084",
        "-colorspace",
        "bt2020nc",
        "-color_range",
        "tv",
    ]
    args = ["-f", "lavfi", "-i", f"testsrc2=size=160x90:rate=25:duration=0.2,format=yuv420p10le,{params}"]
    deep = studio.make("deep.mp4", *args, *color_args, "-c:v", "libx265", "-x265-params", "log-level=error")

    picture = (await run_probe(stage, deep)).streams[0]

    assert (picture.hdr, picture.color_primaries, picture.color_transfer) == ("pq", "bt2020", "smpte2084")
    assert (picture.bit_depth, picture.pixel_aspect_ratio) == (10, "4:3")


async def test_the_duration_of_a_live_recording_is_measured(stage: FakeContext, studio: Studio):
    clip = studio.clip("plain.mp4", "testsrc2=size=160x90:rate=25", seconds=2)
    live = studio.make("live.mkv", "-i", str(clip), "-c", "copy", "-live", "1", "-f", "matroska")

    assert (await run_probe(stage, live)).duration == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"media_max_duration": 1}, "the file lasts 0:02; the limit is 0:01"),
        ({"media_max_pixels": 10_000}, "its frames are 160x90; the limit is 10,000 pixels"),
        ({"media_max_streams": 3}, "the file has 4 streams; the limit is 3"),
    ],
)
async def test_files_beyond_the_limits_of_the_settings_are_rejected(
    tmp_path: Path, rich: Path, limit: dict[str, Any], message: str
):
    stage = FakeContext(tmp_path, **limit)

    with pytest.raises(BadParams) as caught:
        await run_probe(stage, rich)

    assert [problem.path for problem in caught.value.problems] == ["src"]
    assert caught.value.problems[0].message == f"{message}: 'rich.mkv'"
