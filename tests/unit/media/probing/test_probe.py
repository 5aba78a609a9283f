import asyncio
import shutil
from pathlib import Path

import pytest

from callsheet.domain.errors import ConfigurationError, FFmpegFailed
from callsheet.media.probing import probe_process
from callsheet.media.probing.probe import probe, probe_details, probe_if_media
from callsheet.media.probing.probe_pools import ProbePool, current_pool, probes_of_lane, use_sandbox
from callsheet.processes.landlock import landlock_version

from ..studio import Studio


async def test_all_properties_of_a_video_are_read(studio: Studio):
    found = await probe(studio.clip("av.mp4", sound="sine=frequency=440:sample_rate=44100"))

    assert (found.width, found.height, found.fps, found.frames) == (160, 284, 30.0, 30)
    assert (found.video_codec, found.pixel_format, found.rotation) == ("h264", "yuv420p", 0)
    assert (found.audio_codec, found.audio_channels, found.sample_rate) == ("aac", 1, 44100)
    assert found.duration == pytest.approx(1, abs=0.05)
    assert found.bit_rate


async def test_a_rotated_video_has_its_displayed_size(studio: Studio):
    flat = studio.clip("flat.mp4", "testsrc2=size=160x96:rate=30")
    rotated = studio.make("rotated.mp4", "-display_rotation", "90", "-i", str(flat), "-c", "copy")

    found = await probe(rotated)

    assert (found.width, found.height) == (96, 160)
    assert found.rotation in (90, 270)


async def test_the_size_of_a_video_with_non_square_pixels_is_its_displayed_size(studio: Studio):
    path = studio.clip("anamorphic.mp4", "testsrc2=size=160x120:rate=30,setsar=4/3")

    assert ((await probe(path)).width, (await probe(path)).height) == (213, 120)


async def test_a_still_image_has_no_duration(studio: Studio):
    found = await probe_details(studio.still("still.png"))

    assert found.still
    assert (found.probe.width, found.probe.height, found.probe.duration, found.probe.fps) == (320, 200, None, None)


async def test_an_audio_file_has_no_video(studio: Studio):
    found = await probe_details(studio.sound("tone.wav", "sine=frequency=440"))

    assert found.has_audio
    assert not found.has_video


@pytest.mark.parametrize(
    "name", ["a b.mp4", "it's.mp4", "a:b.mp4", "-dash.mp4", "100%d.mp4", "🎬.mp4", "http:evil.mp4"]
)
async def test_special_characters_in_file_names_have_no_meaning(studio: Studio, tmp_path: Path, name: str):
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
async def test_a_file_that_is_not_media_is_rejected(tmp_path: Path, text: str):
    path = tmp_path / "film.mp4"
    path.write_text(text)

    assert await probe_if_media(path) is None
    with pytest.raises(FFmpegFailed, match=r"'film\.mp4' cannot be read as media"):
        await probe(path)


async def test_an_empty_file_is_rejected_with_the_reason(tmp_path: Path):
    (tmp_path / "film.mp4").touch()

    with pytest.raises(FFmpegFailed, match="is empty"):
        await probe(tmp_path / "film.mp4")


async def test_an_unsupported_format_is_rejected_with_the_reason(studio: Studio):
    bare = studio.clip("bare.h264", seconds=0.2)

    with pytest.raises(FFmpegFailed, match=r"'bare\.h264' .*: this kind of file is not accepted as media\. Convert it"):
        await probe(bare)


async def test_audio_without_samples_is_rejected_with_the_reason(studio: Studio):
    with pytest.raises(FFmpegFailed, match="it contains no audio samples"):
        await probe(studio.sound("nothing.wav", "sine", seconds=0))


async def test_an_animated_webp_is_a_video(studio: Studio):
    moving = studio.make(
        "moving.webp", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5", "-t", "1", "-c:v", "libwebp_anim"
    )
    still = studio.still("still.webp", "testsrc2=size=64x64,format=rgba,colorchannelmixer=aa=0.5")

    found = await probe(moving)

    assert (found.video_codec, found.frames, found.duration, found.width) == ("webp", 5, 1.0, 64)
    assert (await probe(still)).frames == 1
    assert still.read_bytes()[12:16] == b"VP8X"


async def test_a_missing_file_is_not_found(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        await probe(tmp_path / "film.mp4")


async def test_a_crashed_probe_process_is_restarted(studio: Studio):
    path = studio.clip("plain.mp4")
    await probe(path)
    process = current_pool().processes[0]._process
    assert process is not None
    process.kill()
    process.wait()

    assert (await probe(path)).frames == 30


async def test_a_file_that_crashes_the_probe_process_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    crash = tmp_path / "crash.py"
    crash.write_text("import os, sys; sys.stdin.readline(); os.abort()")
    (tmp_path / "film.mp4").write_text("x")
    current_pool().close()
    monkeypatch.setattr(probe_process, "_PROBER", crash)

    with pytest.raises(FFmpegFailed, match="crashes the decoder"):
        await probe(tmp_path / "film.mp4")


async def test_a_probe_has_a_timeout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, studio: Studio):
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    (tmp_path / "film.mp4").write_text("x")
    current_pool().close()
    with monkeypatch.context() as patched:
        patched.setattr(probe_process, "_PROBER", slow)
        patched.setattr(probe_process, "_TIMEOUT", 0.3)
        with pytest.raises(FFmpegFailed, match=r"took over 0\.3 s"):
            await probe(tmp_path / "film.mp4")

    assert (await probe(studio.clip("plain.mp4"))).frames == 30


async def test_probing_does_not_block_the_event_loop_and_can_be_cancelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    (tmp_path / "film.mp4").write_text("x")
    current_pool().close()
    monkeypatch.setattr(probe_process, "_PROBER", slow)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(probe(tmp_path / "film.mp4"), 0.3)


async def test_concurrent_probes_all_succeed(studio: Studio):
    path = studio.clip("plain.mp4")

    found = await asyncio.gather(*(probe(path) for _ in range(20)))

    assert {each.frames for each in found} == {30}


async def test_many_slow_files_of_one_lane_do_not_delay_another_lane(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, studio: Studio
):
    film = studio.clip("plain.mp4")
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    with monkeypatch.context() as patched, probes_of_lane("slow files"):
        patched.setattr(probe_process, "_PROBER", slow)
        busy = [asyncio.create_task(probe(film)) for _ in range(12)]
        async with asyncio.timeout(30):
            while sum(process.pending for process in current_pool().processes) < 12:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while not all(process._process for process in current_pool().processes):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    with probes_of_lane("other files"):
        assert (await probe(film)).frames == 30
        assert not any(task.done() for task in busy)

    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    with probes_of_lane("slow files"):
        current_pool().close()


@pytest.fixture
def pool_with():
    """Pools with a value of FFMPEG_SANDBOX, closed at the end."""
    pools = []

    def create(sandbox):
        use_sandbox(sandbox)
        pools.append(current_pool())
        return pools[-1]

    yield create
    use_sandbox("auto")
    for pool in pools:
        pool.close()


@pytest.mark.parametrize("sandbox", ["off", "auto"])
async def test_the_probe_process_heeds_the_setting_of_the_sandbox(sandbox, pool_with, studio: Studio):
    pool = pool_with(sandbox)
    pool.close()
    await pool.read(studio.clip("av.mp4"))

    # A process that has entered a sandbox has given up new privileges.
    [process] = [each._process for each in pool.processes if each._process is not None]
    status = await asyncio.to_thread(Path(f"/proc/{process.pid}/status").read_text)
    assert ("NoNewPrivs:\t1" in status) == bool(sandbox == "auto" and landlock_version())


def test_a_required_sandbox_that_the_kernel_lacks_is_an_error(monkeypatch):
    monkeypatch.setattr("callsheet.media.ffmpeg.sandbox.landlock_version", lambda: 0)

    with pytest.raises(ConfigurationError, match="FFMPEG_SANDBOX is 'required'"):
        asyncio.run(ProbePool(1, "required").read(Path("a.mp4")))
