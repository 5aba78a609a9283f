import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams, BadSource
from callsheet.domain.plan_validation import validate_params
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.operations.mux import MuxResult, mux

SRT = "1\n00:00:00,200 --> 00:00:00,900\nHello <i>there</i>: it's 100%\n\n2\n00:00:01,000 --> 00:00:01,800\nسلام 🎬\n"
TONE = "aevalsrc='0.5*sin(2*PI*440*t)|0.5*sin(2*PI*440*t)':s=48000"


async def put(stage: FakeContext, video: Path, **params: Any) -> tuple[MuxResult, MediaInfo]:
    result = await mux.run(stage, validate_params({"video": str(video), **params}, mux.params))
    assert isinstance(result, MuxResult)
    return result, await probe_details(stage.kept[-1])


@pytest.fixture
def film(studio: Studio) -> Path:
    return studio.clip("film.mp4", "testsrc2=size=64x64:rate=30", seconds=2, sound="sine=frequency=300")


@pytest.fixture
def voice(studio: Studio) -> Path:
    return studio.make("voice.m4a", "-f", "lavfi", "-i", TONE, "-t", "1", "-c:a", "aac")


@pytest.fixture
def srt(tmp_path: Path) -> Path:
    path = tmp_path / "it's: words 🎬.srt"
    path.write_text(SRT)
    return path


def is_same_video(studio: Studio, one: Path, other: Path) -> bool:
    return np.array_equal(studio.gray_frames(one, size=(64, 64)), studio.gray_frames(other, size=(64, 64)))


def read_audio(studio: Studio, path: Path) -> np.ndarray:
    """The audio at its start time: without the filter, FFmpeg drops the silence before the first sample."""
    args = ["-map", "0:a:0", "-af", "aresample=48000:async=1:first_pts=0", "-c:a", "pcm_f32le"]
    return studio.audio_samples(studio.make(f"{path.parent.parent.name}.wav", "-i", str(path), *args))


def start_time(audio: np.ndarray) -> float:
    return float(np.argmax(np.abs(audio[:, 0]) > 0.05)) / 48000


async def test_new_audio_replaces_the_audio_of_the_video(stage: FakeContext, studio: Studio, film: Path, voice: Path):
    result, made = await put(stage, film, audio=str(voice))

    assert is_same_video(studio, film, made.path)
    assert [(s.codec, s.channels) for s in made.audio_streams] == [("aac", 2)]
    assert np.abs(studio.audio_samples(made.path)[4800:40000]).max() == pytest.approx(0.5, abs=0.03)
    assert result.duration == pytest.approx(2)
    assert (made.probe.frames, result.notes) == (60, [])
    assert b"moov" in made.path.read_bytes()[:64]


@pytest.mark.parametrize("given", [{"offset": 0.7}, {"offset": 0.7, "volume": 0.5}])
async def test_audio_starts_at_its_offset(
    stage: FakeContext, studio: Studio, film: Path, voice: Path, given: dict[str, Any]
):
    _, made = await put(stage, film, audio={"src": str(voice), **given})

    audio = read_audio(studio, made.path)
    assert start_time(audio) == pytest.approx(0.7, abs=0.03)
    assert np.abs(audio).max() == pytest.approx(0.5 * given.get("volume", 1), abs=0.04)


async def test_a_negative_offset_cuts_the_beginning_of_the_audio(stage: FakeContext, studio: Studio, film: Path):
    steps = "aevalsrc='if(lt(t,0.6),0.1,0.5)*sin(2*PI*440*t)':s=48000"
    stairs = studio.sound("stairs.wav", steps, seconds=1)

    _, made = await put(stage, film, audio={"src": str(stairs), "offset": -0.4})

    audio = np.abs(studio.audio_samples(made.path)[:, 0])
    assert float(np.argmax(audio > 0.25)) / 48000 == pytest.approx(0.2, abs=0.02)


async def test_tracks_are_added_with_language_and_title(stage: FakeContext, film: Path, voice: Path):
    tracks = [
        {"src": str(voice), "language": "de", "title": 'Kommentar: "eins"', "default": True},
        {"src": str(voice), "language": "en-GB"},
    ]

    _, made = await put(stage, film, audio=tracks, keep_audio=True)

    assert [(s.language, s.default) for s in made.audio_streams] == [(None, False), ("ger", True), ("eng", False)]
    assert made.audio_streams[1].title in ('Kommentar: "eins"', None)


@pytest.mark.parametrize(("duration", "picture", "sound"), [("video", 2, 2), ("shortest", 1, 1), ("longest", 2, 2)])
async def test_short_audio_ends_the_video_only_on_request(
    stage: FakeContext, studio: Studio, film: Path, voice: Path, duration: str, picture: float, sound: float
):
    result, made = await put(stage, film, audio=str(voice), duration=duration)

    assert result.duration == pytest.approx(sound, abs=0.05)
    assert len(studio.gray_frames(made.path, size=(64, 64))) == pytest.approx(30 * picture, abs=1)


@pytest.mark.parametrize(("duration", "sound"), [("video", 2), ("shortest", 2), ("longest", 3)])
async def test_long_audio_is_cut_or_kept(stage: FakeContext, studio: Studio, film: Path, duration: str, sound: float):
    long = studio.sound("long.wav", TONE, seconds=3)

    _, made = await put(stage, film, audio=str(long), duration=duration)

    assert len(studio.audio_samples(made.path)) / 48000 == pytest.approx(sound, abs=0.05)
    assert len(studio.gray_frames(made.path, size=(64, 64))) == 60


@pytest.mark.parametrize(("format", "codec"), [("mp4", "mov_text"), ("mkv", "subrip")])
async def test_subtitles_become_a_track(
    stage: FakeContext, studio: Studio, film: Path, srt: Path, format: str, codec: str
):
    result, made = await put(stage, film, subtitles={"src": str(srt), "language": "en", "default": True}, format=format)

    text = next(stream for stream in made.streams if stream.type == "subtitle")
    assert (text.codec, text.language, text.default) == (codec, "eng", True)
    assert len(made.audio_streams) == 1
    shown = studio.make(f"{format}.srt", "-i", str(made.path), "-map", "0:s:0").read_text()
    assert "Hello <i>there</i>: it's 100%" in shown
    assert "سلام 🎬" in shown
    # Older builds write the encoder delay of the audio before the start of a Matroska file.
    assert re.search(r"00:00:01,0[0-3]\d --> 00:00:01,8[0-3]\d", shown)
    assert result.notes == []


async def test_webm_has_webvtt_subtitles(stage: FakeContext, studio: Studio, voice: Path, tmp_path: Path):
    web = studio.make(
        "web.webm",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=64x64:rate=30",
        "-t",
        "1",
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
    )
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:00.100 --> 00:00.900\nHello\n")

    result, made = await put(stage, web, audio=str(voice), subtitles=str(tmp_path / "a.vtt"))

    assert made.path.suffix == ".webm"
    assert [stream.codec for stream in made.streams] == ["vp9", "opus", "webvtt"]
    assert result.notes == ["the audio of 'voice.m4a' was encoded: webm does not support aac"]


async def test_mkv_keeps_ass_styles_and_mp4_reports_their_loss(stage: FakeContext, film: Path, tmp_path: Path):
    script = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\nStyle: Big,Inter,40\n\n"
        "[Events]\nFormat: Layer, Start, End, Style, Text\nDialogue: 0,0:00:00.10,0:00:00.90,Big,Hello\n"
    )
    (tmp_path / "a.ass").write_text(script)

    _, kept = await put(stage, film, subtitles=str(tmp_path / "a.ass"), format="mkv")
    result, _ = await put(stage, film, subtitles=str(tmp_path / "a.ass"))

    assert [stream.codec for stream in kept.streams] == ["h264", "aac", "ass"]
    assert result.notes == ["mp4 keeps the text of ASS subtitles, but not their styles; mkv keeps both"]


async def test_subtitles_in_cp1252_are_decoded(stage: FakeContext, studio: Studio, film: Path, tmp_path: Path):
    (tmp_path / "old.srt").write_bytes("1\r\n00:00:00,100 --> 00:00:00,900\r\nÜber Käse\r\n".encode("cp1252"))

    _, made = await put(stage, film, subtitles=str(tmp_path / "old.srt"))

    assert "Über Käse" in studio.make("old-out.srt", "-i", str(made.path), "-map", "0:s:0").read_text()


async def test_audio_is_added_to_a_video_without_audio(stage: FakeContext, studio: Studio, voice: Path):
    _, made = await put(stage, studio.clip("mute.mp4", "testsrc2=size=64x64:rate=30"), audio=str(voice))

    assert len(made.audio_streams) == 1


async def test_a_file_that_is_not_a_subtitle_file_is_rejected(stage: FakeContext, film: Path, tmp_path: Path):
    (tmp_path / "list.srt").write_text("#EXTM3U\nfile:///etc/passwd\n")

    with pytest.raises(BadSource, match="contains no captions"):
        await put(stage, film, subtitles=str(tmp_path / "list.srt"))


async def test_a_container_that_does_not_support_the_codec_is_rejected(stage: FakeContext, film: Path, voice: Path):
    with pytest.raises(BadParams, match="webm does not support h264 video"):
        await put(stage, film, audio=str(voice), format="webm")


async def test_an_audio_file_without_audio_is_named(stage: FakeContext, studio: Studio, film: Path, voice: Path):
    with pytest.raises(BadParams, match=r"audio\[1\]\.src: there is no audio in this file"):
        await put(stage, film, audio=[str(voice), str(studio.still("still.png"))])


def test_a_track_is_required():
    with pytest.raises(BadParams, match="give audio, subtitles or both"):
        validate_params({"video": "a.mp4"}, mux.params)


async def test_a_gif_must_be_transcoded_first(stage: FakeContext, studio: Studio, voice: Path):
    moving = studio.make("moving.gif", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10", "-t", "1")

    for options in ({}, {"format": "mp4"}):
        with pytest.raises(BadParams, match=r"video: (mkv|mp4) does not support gif video; transcode the video first$"):
            await put(stage, moving, audio=str(voice), **options)


async def test_timestamps_that_do_not_start_at_0_make_no_video_longer(stage: FakeContext, studio: Studio, film: Path):
    args = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", TONE, "-t", "2"]
    stream = studio.make("clock.ts", *args, "-c:v", "libx264", "-c:a", "mp2")

    result, made = await put(stage, film, audio=str(stream), duration="longest")

    assert result.duration == pytest.approx(2, abs=0.06)
    assert made.probe.duration == pytest.approx(2, abs=0.06)
