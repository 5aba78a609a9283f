import asyncio
import shutil
from pathlib import Path

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.probing import probe as probing
from callsheet.media.probing.probe import probe, probe_details, probe_if_media

from ..studio import Studio


async def test_a_video_is_told_in_full(studio: Studio):
    found = await probe(studio.clip("av.mp4", sound="sine=frequency=440:sample_rate=44100"))

    assert (found.width, found.height, found.fps, found.frames) == (160, 284, 30.0, 30)
    assert (found.video_codec, found.pixel_format, found.rotation) == ("h264", "yuv420p", 0)
    assert (found.audio_codec, found.audio_channels, found.sample_rate) == ("aac", 1, 44100)
    assert found.duration == pytest.approx(1, abs=0.05)
    assert found.bit_rate


async def test_a_rotated_video_has_the_size_that_is_seen(studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=160x96:rate=30")
    turned = studio.make("turned.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")

    found = await probe(turned)

    assert (found.width, found.height) == (96, 160)
    assert found.rotation in (90, 270)


async def test_pixels_that_are_not_square_count_as_they_are_seen(studio: Studio):
    path = studio.clip("anamorphic.mp4", "testsrc2=size=160x120:rate=30,setsar=4/3")

    assert ((await probe(path)).width, (await probe(path)).height) == (213, 120)


async def test_a_picture_has_no_length(studio: Studio):
    found = await probe_details(studio.still("still.png"))

    assert found.still
    assert (found.probe.width, found.probe.height, found.probe.duration, found.probe.fps) == (320, 200, None, None)


async def test_sound_alone_has_no_picture(studio: Studio):
    found = await probe_details(studio.sound("tone.wav", "sine=frequency=440"))

    assert found.has_audio
    assert not found.has_video


@pytest.mark.parametrize(
    "name", ["a b.mp4", "it's.mp4", "a:b.mp4", "-dash.mp4", "100%d.mp4", "🎬.mp4", "http:evil.mp4"]
)
async def test_file_names_are_only_names(studio: Studio, tmp_path: Path, name: str):
    shutil.copy(studio.clip("plain.mp4"), tmp_path / name)

    assert (await probe(tmp_path / name)).frames == 30


@pytest.mark.parametrize(
    "text",
    [
        "just some text\n" * 100,
        "1\n00:00:00,000 --> 00:00:01,000\nhi\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile plain.mp4\n",
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    ],
)
async def test_what_is_not_media_is_not_taken_for_it(tmp_path: Path, text: str):
    path = tmp_path / "film.mp4"
    path.write_text(text)

    assert await probe_if_media(path) is None
    with pytest.raises(FFmpegFailed, match=r"'film\.mp4' cannot be read as media"):
        await probe(path)


async def test_an_empty_file_is_told_as_such(tmp_path: Path):
    (tmp_path / "film.mp4").touch()

    with pytest.raises(FFmpegFailed, match="is empty"):
        await probe(tmp_path / "film.mp4")


async def test_a_kind_of_file_that_is_not_read_is_told_as_such(studio: Studio):
    bare = studio.clip("bare.h264", seconds=0.2)

    with pytest.raises(FFmpegFailed, match=r"'bare\.h264' .*: this kind of file is not accepted as media\. Convert it"):
        await probe(bare)


async def test_sound_without_a_sample_is_told_as_such(studio: Studio):
    with pytest.raises(FFmpegFailed, match="there is not a single sample of sound in it"):
        await probe(studio.sound("nothing.wav", "sine", seconds=0))


async def test_an_animated_webp_is_told_as_such(studio: Studio):
    moving = studio.make(
        "moving.webp", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5", "-t", "1", "-c:v", "libwebp_anim"
    )
    still = studio.still("still.webp", "testsrc2=size=64x64,format=rgba,colorchannelmixer=aa=0.5")

    with pytest.raises(
        FFmpegFailed, match=r"'moving\.webp' cannot be read as media: animated WebP is not read; bring it"
    ):
        await probe(moving)
    assert (await probe(still)).frames == 1
    assert still.read_bytes()[12:16] == b"VP8X"


async def test_a_missing_file_is_not_found(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        await probe(tmp_path / "film.mp4")


async def test_a_crash_of_the_reader_is_mended(studio: Studio):
    path = studio.clip("plain.mp4")
    await probe(path)
    process = probing._reader._process
    assert process is not None
    process.kill()
    process.wait()

    assert (await probe(path)).frames == 30


async def test_a_file_that_is_too_much_for_the_reader_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    crash = tmp_path / "crash.py"
    crash.write_text("import os, sys; sys.stdin.readline(); os.abort()")
    (tmp_path / "film.mp4").write_text("x")
    probing._reader.close()
    monkeypatch.setattr(probing, "_PROBER", crash)

    with pytest.raises(FFmpegFailed, match="crashes the decoder"):
        await probe(tmp_path / "film.mp4")


async def test_a_file_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, studio: Studio):
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    (tmp_path / "film.mp4").write_text("x")
    probing._reader.close()
    with monkeypatch.context() as patched:
        patched.setattr(probing, "_PROBER", slow)
        patched.setattr(probing, "_PATIENCE", 0.3)
        with pytest.raises(FFmpegFailed, match=r"took over 0\.3 s"):
            await probe(tmp_path / "film.mp4")

    assert (await probe(studio.clip("plain.mp4"))).frames == 30


async def test_the_loop_goes_on_while_a_file_is_read_and_cancelling_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    (tmp_path / "film.mp4").write_text("x")
    probing._reader.close()
    monkeypatch.setattr(probing, "_PROBER", slow)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(probe(tmp_path / "film.mp4"), 0.3)


async def test_many_files_at_once_are_all_read(studio: Studio):
    path = studio.clip("plain.mp4")

    found = await asyncio.gather(*(probe(path) for _ in range(20)))

    assert {each.frames for each in found} == {30}
