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
    """The processes below this one, besides the one that reads files for us."""
    return [p for p in psutil.Process().children(recursive=True) if "prober" not in str(p.cmdline())]


async def children(count: int) -> list[psutil.Process]:
    async with asyncio.timeout(5):
        while len(found := descendants()) < count:  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)
    return found


async def test_a_run_reports_what_it_wrote(ffmpeg: FFmpeg, tmp_path: Path):
    told: list[float] = []

    report = await ffmpeg.run(write(2, tmp_path / "a.mp4"), duration=2, on_progress=told.append)

    assert report.frames == 50
    assert report.seconds == pytest.approx(2, abs=0.05)
    assert report.elapsed > 0
    assert told == sorted(set(told))
    assert told[-1] == 1.0
    assert all(0 <= share <= 1 for share in told)


async def test_progress_comes_while_it_runs(ffmpeg: FFmpeg):
    told: list[float] = []
    words = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=1.6", "-f", "null", "-"]

    await ffmpeg.run(words, duration=1.6, on_progress=told.append)

    assert any(0.1 < share < 0.9 for share in told)


@pytest.mark.parametrize("after", [0.0, 0.001, 0.3])
async def test_a_cancelled_run_ends_its_process_within_a_second(ffmpeg: FFmpeg, after: float):
    running = asyncio.create_task(ffmpeg.run(ENDLESS))
    await asyncio.sleep(after)
    begun = time.monotonic()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert time.monotonic() - begun < 1
    assert not [p for p in psutil.Process().children(recursive=True) if "testsrc2" in str(p.cmdline())]


async def test_cancelling_ends_the_whole_process_group(script):
    running = asyncio.create_task(script("sleep 321 & sleep 322; wait").run([]))
    group = await children(3)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    _, alive = psutil.wait_procs(group, timeout=1)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


async def test_a_run_past_its_time_limit_is_ended(ffmpeg: FFmpeg):
    with pytest.raises(TimedOut, match=r"time limit of 0\.5 s"):
        await ffmpeg.run(ENDLESS, timeout=0.5)


async def test_a_hung_run_is_ended(script):
    with pytest.raises(FFmpegFailed, match=r"no headway for 0\.3 s"):
        await script("sleep 300").run([], stall=0.3)


async def test_a_run_that_reports_the_same_again_and_again_has_stalled(script):
    same = "while true; do echo frame=7; echo out_time_us=1000; echo progress=continue; sleep 0.05; done"

    with pytest.raises(FFmpegFailed, match="no headway"):
        await script(same).run([], stall=0.5)


async def test_a_file_that_grows_is_headway_where_it_is_looked_at(script, tmp_path: Path):
    output = tmp_path / "second.mp4"
    growing = (
        f"i=0; while [ $i -lt 30 ]; do echo frame=7; echo progress=continue; echo x >> '{output}';"
        " i=$((i+1)); sleep 0.05; done; echo progress=end"
    )

    await script(growing).run([], stall=0.3, growing=[output])

    output.unlink()
    with pytest.raises(FFmpegFailed, match="no headway"):
        await script(growing).run([], stall=0.3)


async def test_much_talk_on_stderr_does_not_hang_a_run(script):
    loud = script(
        "i=0; while [ $i -lt 9000 ]; do echo 'a warning of about one hundred characters '$i'"
        " which nobody wants to read, but which must be drained' >&2; i=$((i+1)); done; echo progress=end"
    )

    report = await asyncio.wait_for(loud.run([]), 20)

    assert report.stderr.endswith("must be drained\n")
    assert len(report.stderr) <= 64 * 1024


async def test_the_first_complaint_is_told_even_when_much_follows(script):
    failing = script("echo '[x @ 0x1] moov atom not found' >&2; yes 'later noise' | head -n 30000 >&2; exit 1")

    with pytest.raises(FFmpegFailed, match="the file is incomplete: its index is missing"):
        await failing.run([])


async def test_secrets_do_not_reach_the_process(script, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CALLSHEET_API_KEY", "very-secret")

    seen = (await script("env").capture([])).stdout.decode()

    assert "very-secret" not in seen
    assert "FONTCONFIG_FILE=" in seen


async def test_speed_and_time_left_are_told_while_it_runs(ffmpeg: FFmpeg):
    told: list[FFmpegProgress] = []
    words = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=1.6", "-f", "null", "-"]

    await ffmpeg.run(words, duration=1.6, on_progress=told.append)

    early = next(report for report in told if 0 < report < 0.9 and report.remaining is not None)
    assert early.remaining == pytest.approx(1.6 * (1 - early), abs=1)
    assert early.summary is not None and re.fullmatch(r"\d\.\dx, 0:0\d left", early.summary)
    assert told[-1].remaining == 0


def test_times_left_read_as_on_a_clock():
    assert FFmpegProgress(0.5, 2.31, 41.2).summary == "2.3x, 0:41 left"
    assert FFmpegProgress(0.1, 31.4, 3725).summary == "31x, 1:02:05 left"
    assert FFmpegProgress(0.5).summary is None


async def test_a_run_that_needs_too_much_memory_is_ended(ffmpeg: FFmpeg):
    # Every picture is held: about 4 MB each.
    words = ["-f", "lavfi", "-i", "testsrc2=size=1600x1600:rate=30,reverse", "-f", "null", "-"]

    with pytest.raises(FFmpegFailed, match=r"more than the 0\.25 GiB of memory"):
        await ffmpeg.run(words, limits=ProcessLimits(memory_bytes=2**28), timeout=30)


async def test_a_picture_within_the_memory_allowed_is_made(ffmpeg: FFmpeg, tmp_path: Path):
    report = await ffmpeg.run(write(1, tmp_path / "a.mp4"), limits=ProcessLimits(memory_bytes=2**29))

    assert report.frames == 25


async def test_a_source_that_goes_on_far_beyond_its_length_is_stopped(ffmpeg: FFmpeg):
    words = ["-f", "lavfi", "-i", "testsrc2=size=16x16:rate=1", "-f", "null", "-"]

    with pytest.raises(FFmpegFailed, match="does not tell its true length"):
        await ffmpeg.run(words, duration=1, timeout=20)


async def test_moving_the_index_of_a_long_film_is_headway(script, tmp_path: Path):
    big = tmp_path / "big"
    big.write_bytes(bytes(8 * 2**20))
    reading = script(f"for i in 1 2 3 4; do sleep 0.2; cat {big} > /dev/null; done; echo progress=end")

    await reading.run([], stall=0.5)


@pytest.mark.parametrize(
    "name",
    ["-y.mp4", 'it\'s "it".mp4', "a:b.mp4", "100%d %05d.mp4", "line\nbreak.mp4", "🎬.mp4", "http:x.mp4", "[0];,.mp4"],
)
async def test_names_of_files_are_only_names(ffmpeg: FFmpeg, studio: Studio, tmp_path: Path, name: str):
    given, made = tmp_path / name, tmp_path / "made" / name
    made.parent.mkdir()
    shutil.copy(studio.clip("plain.mp4"), given)

    report = await ffmpeg.run([*media_input(given), "-map", "0:v:0", "-c", "copy", "-f", "mp4", file_url(made)])

    assert report.frames == 30
    assert [path.name for path in made.parent.iterdir()] == [name]
    assert len(studio.look(made, size=(160, 284))) == 30


async def test_an_output_larger_than_allowed_is_an_error(ffmpeg: FFmpeg, tmp_path: Path):
    words = ["-f", "lavfi", "-i", "testsrc2=size=640x360:duration=2", "-c:v", "rawvideo", str(tmp_path / "a.avi")]

    with pytest.raises(FFmpegFailed):
        await ffmpeg.run(words, limits=ProcessLimits(file_bytes=1_000_000))


async def test_captured_pictures_come_whole(ffmpeg: FFmpeg):
    words = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=5:duration=1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]

    captured = await ffmpeg.capture(words)

    assert len(captured.stdout) == 5 * 64 * 48 * 3


async def test_more_output_than_expected_is_refused(ffmpeg: FFmpeg):
    words = ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=5:duration=1", "-f", "rawvideo", "-"]

    with pytest.raises(FFmpegFailed, match="more than the 100,000 bytes"):
        await ffmpeg.capture(words, max_bytes=100_000)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_worker_takes_its_ffmpeg_along(ffmpeg: FFmpeg):
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
async def test_when_memory_runs_out_the_system_takes_ffmpeg_before_the_worker(script):
    answer = await script("cat /proc/self/oom_score_adj").capture([])

    assert int(answer.stdout) == 500


async def test_a_full_disk_is_an_error_even_where_ffmpeg_reports_success(script):
    talk = "echo 'Error writing trailer of a.mp4: No space left on device' >&2; exit 0"

    with pytest.raises(DiskFull):
        await script(talk).run([])


def test_there_is_a_thread_for_every_usable_processor(ffmpeg: FFmpeg):
    assert 1 <= ffmpeg.threads == usable_processors() <= (os.cpu_count() or 1)
    assert FFmpeg(ffmpeg.binary, threads=1).threads == 1


def test_a_time_that_is_not_known_yet_is_no_headway():
    told: list[float] = []
    watch = ProgressReader(2.0, told.append)

    for line in ("frame=0", "out_time_us=9223372036854775807", "progress=continue"):
        watch.read(line)
    for line in ("frame=30", "out_time_us=1000000", "progress=continue"):
        watch.read(line)

    assert told == [0.0, 0.5]
