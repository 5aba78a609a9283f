import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.support.ended import all_end

from callsheet.domain.errors import DiskFull, FFmpegFailed, TimedOut
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.ffmpeg.progress import FFmpegProgress, ProgressReader
from callsheet.media.ffmpeg.runner import FFmpeg, usable_processors
from callsheet.processes.child import ProcessLimits

from ..studio import Studio

ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10", "-f", "null", "-"]


def write(seconds: float, output: Path) -> list[str]:
    picture = f"testsrc2=size=64x64:rate=25:duration={seconds}"
    return ["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", f"file:{output}"]


def descendants() -> list[psutil.Process]:
    """The child processes, except the probe process."""
    return [p for p in psutil.Process().children(recursive=True) if "prober" not in str(p.cmdline())]


async def children(count: int) -> list[psutil.Process]:
    async with asyncio.timeout(5):
        while len(found := descendants()) < count:  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)
    return found


async def test_a_run_reports_what_it_wrote(ffmpeg: FFmpeg, tmp_path: Path):
    reported: list[float] = []

    report = await ffmpeg.run(write(2, tmp_path / "a.mp4"), duration=2, on_progress=reported.append)

    assert report.frames == 50
    assert report.seconds == pytest.approx(2, abs=0.05)
    assert report.elapsed > 0
    assert reported == sorted(set(reported))
    assert reported[-1] == 1.0
    assert all(0 <= share <= 1 for share in reported)


async def test_progress_is_reported_during_a_run(ffmpeg: FFmpeg):
    reported: list[float] = []
    args = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=1.6", "-f", "null", "-"]

    await ffmpeg.run(args, duration=1.6, on_progress=reported.append)

    assert any(0.1 < share < 0.9 for share in reported)


@pytest.mark.parametrize("after", [0.0, 0.001, 0.3])
async def test_cancelling_kills_the_process_within_a_second(ffmpeg: FFmpeg, after: float):
    running = asyncio.create_task(ffmpeg.run(ENDLESS))
    await asyncio.sleep(after)  # sleep: the moment of the cancellation varies
    started = time.monotonic()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert time.monotonic() - started < 1
    assert not [p for p in psutil.Process().children(recursive=True) if "testsrc2" in str(p.cmdline())]


async def test_cancelling_kills_the_whole_process_group(script):
    running = asyncio.create_task(script("sleep 321 & sleep 322; wait").run([]))
    group = await children(3)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await all_end((process.pid for process in group), 1)


async def test_a_run_beyond_its_timeout_is_killed(ffmpeg: FFmpeg):
    with pytest.raises(TimedOut, match=r"time limit of 0\.5 s"):
        await ffmpeg.run(ENDLESS, timeout=0.5)


async def test_a_stalled_run_is_killed(script):
    with pytest.raises(FFmpegFailed, match=r"no progress for 0\.3 s"):
        await script("sleep 300").run([], stall=0.3)


async def test_a_run_with_unchanging_reports_is_stalled(script):
    same = "while true; do echo frame=7; echo out_time_us=1000; echo progress=continue; sleep 0.05; done"

    with pytest.raises(FFmpegFailed, match="no progress"):
        await script(same).run([], stall=0.5)


async def test_growth_of_a_watched_file_is_progress(script, tmp_path: Path):
    output = tmp_path / "second.mp4"
    growing = (
        f"i=0; while [ $i -lt 30 ]; do echo frame=7; echo progress=continue; echo x >> '{output}';"
        " i=$((i+1)); sleep 0.05; done; echo progress=end"
    )

    await script(growing).run([], stall=0.3, growing=[output])

    output.unlink()
    with pytest.raises(FFmpegFailed, match="no progress"):
        await script(growing).run([], stall=0.3)


async def test_much_stderr_does_not_block_a_run(script):
    verbose = script(
        "i=0; while [ $i -lt 9000 ]; do echo 'a warning of about one hundred characters '$i'"
        " output that is not needed but must be drained' >&2; i=$((i+1)); done; echo progress=end"
    )

    report = await asyncio.wait_for(verbose.run([]), 20)

    assert report.stderr.endswith("must be drained\n")
    assert len(report.stderr) <= 64 * 1024


async def test_the_first_error_is_reported_although_much_stderr_follows(script):
    failing = script("echo '[x @ 0x1] moov atom not found' >&2; yes 'later noise' | head -n 30000 >&2; exit 1")

    with pytest.raises(FFmpegFailed, match="the file is incomplete: its index is missing"):
        await failing.run([])


async def test_secrets_do_not_reach_the_process(script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CALLSHEET_API_KEY", "very-secret")

    seen = (await script("env").capture([])).stdout.decode()

    assert "very-secret" not in seen
    assert "FONTCONFIG_FILE=" in seen


async def test_speed_and_remaining_time_are_reported_during_a_run(ffmpeg: FFmpeg):
    reported: list[FFmpegProgress] = []
    args = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=1.6", "-f", "null", "-"]

    await ffmpeg.run(args, duration=1.6, on_progress=reported.append)

    early = next(report for report in reported if 0 < report < 0.9 and report.remaining is not None)
    assert early.remaining == pytest.approx(1.6 * (1 - early), abs=1)
    assert early.summary is not None and re.fullmatch(r"\d\.\dx, 0:0\d left", early.summary)
    assert reported[-1].remaining == 0


def test_the_summary_has_speed_and_remaining_time():
    assert FFmpegProgress(0.5, 2.31, 41.2).summary == "2.3x, 0:41 left"
    assert FFmpegProgress(0.1, 31.4, 3725).summary == "31x, 1:02:05 left"
    assert FFmpegProgress(0.5).summary is None


async def test_a_run_beyond_its_memory_limit_is_killed(ffmpeg: FFmpeg):
    # The reverse filter holds every frame: about 4 MB each.
    args = ["-f", "lavfi", "-i", "testsrc2=size=1600x1600:rate=30,reverse", "-f", "null", "-"]

    with pytest.raises(FFmpegFailed, match=r"memory limit of 0\.25 GiB"):
        await ffmpeg.run(args, limits=ProcessLimits(memory_bytes=2**28), timeout=30)


async def test_a_run_within_its_memory_limit_succeeds(ffmpeg: FFmpeg, tmp_path: Path):
    report = await ffmpeg.run(write(1, tmp_path / "a.mp4"), limits=ProcessLimits(memory_bytes=2**29))

    assert report.frames == 25


async def test_a_source_far_beyond_its_stated_duration_is_stopped(ffmpeg: FFmpeg):
    args = ["-f", "lavfi", "-i", "testsrc2=size=16x16:rate=1", "-f", "null", "-"]

    with pytest.raises(FFmpegFailed, match="states a wrong duration"):
        await ffmpeg.run(args, duration=1, timeout=20)


async def test_moving_the_index_of_a_long_video_is_progress(script, tmp_path: Path):
    big = tmp_path / "big"
    big.write_bytes(bytes(8 * 2**20))
    reading = script(
        f"for i in 1 2 3 4; do sleep 0.2; cat {big} > /dev/null; done; echo progress=end; touch {big}.read"
    )

    await reading.run([], stall=0.5)

    assert (tmp_path / "big.read").exists()


@pytest.mark.parametrize(
    "name",
    ["-y.mp4", 'it\'s "it".mp4', "a:b.mp4", "100%d %05d.mp4", "line\nbreak.mp4", "🎬.mp4", "http:x.mp4", "[0];,.mp4"],
)
async def test_special_characters_in_file_names_have_no_meaning(
    ffmpeg: FFmpeg, studio: Studio, tmp_path: Path, name: str
):
    given, made = tmp_path / name, tmp_path / "made" / name
    made.parent.mkdir()
    shutil.copy(studio.clip("plain.mp4"), given)

    report = await ffmpeg.run([*media_input(given), "-map", "0:v:0", "-c", "copy", "-f", "mp4", file_url(made)])

    assert report.frames == 30
    assert [path.name for path in made.parent.iterdir()] == [name]
    assert len(studio.gray_frames(made, size=(160, 284))) == 30


async def test_an_output_beyond_the_size_limit_is_an_error(ffmpeg: FFmpeg, tmp_path: Path):
    args = ["-f", "lavfi", "-i", "testsrc2=size=640x360:duration=2", "-c:v", "rawvideo", str(tmp_path / "a.avi")]

    with pytest.raises(FFmpegFailed):
        await ffmpeg.run(args, limits=ProcessLimits(file_bytes=1_000_000))


async def test_captured_frames_are_complete(ffmpeg: FFmpeg):
    args = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]

    captured = await ffmpeg.capture(args)

    assert len(captured.stdout) == 5 * 64 * 48 * 3


async def test_captured_output_is_limited(ffmpeg: FFmpeg):
    args = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=5:duration=1", "-f", "rawvideo", "-"]

    with pytest.raises(FFmpegFailed, match="more than the 100,000 bytes"):
        await ffmpeg.capture(args, max_bytes=100_000)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_ffmpeg_dies_with_a_killed_worker(ffmpeg: FFmpeg):
    program = (
        "import asyncio, pathlib, sys; from callsheet.media.ffmpeg.runner import FFmpeg; "
        f"asyncio.run(FFmpeg(pathlib.Path({str(ffmpeg.binary)!r})).run({ENDLESS!r}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + 10
        while not (found := psutil.Process(worker.pid).children()) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()

    assert found
    _, alive = psutil.wait_procs(found, timeout=2)
    assert not alive


@pytest.mark.skipif(sys.platform != "linux", reason="other systems choose by themselves")
async def test_the_kernel_kills_ffmpeg_before_the_worker_when_memory_runs_out(script):
    captured = await script("cat /proc/self/oom_score_adj").capture([])

    assert int(captured.stdout) == 500


async def test_a_full_disk_is_an_error_although_ffmpeg_exits_with_0(script):
    talk = "echo 'Error writing trailer of a.mp4: No space left on device' >&2; exit 0"

    with pytest.raises(DiskFull):
        await script(talk).run([])


def test_there_is_one_thread_per_usable_cpu(ffmpeg: FFmpeg):
    assert 1 <= ffmpeg.threads == usable_processors() <= (os.cpu_count() or 1)
    assert FFmpeg(ffmpeg.binary, threads=1).threads == 1


def test_an_unknown_time_is_no_progress():
    reported: list[float] = []
    watch = ProgressReader(2.0, reported.append)

    for line in ("frame=0", "out_time_us=9223372036854775807", "progress=continue"):
        watch.read(line)
    for line in ("frame=30", "out_time_us=1000000", "progress=continue"):
        watch.read(line)

    assert reported == [0.0, 0.5]
