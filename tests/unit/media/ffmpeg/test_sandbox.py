"""FFmpeg and the other decoders use only the files of their job."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from callsheet.domain.errors import ConfigurationError, FFmpegFailed, JobError
from callsheet.media.ffmpeg import sandbox
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.ffmpeg.sandbox import ffmpeg_access
from callsheet.processes.child import ProcessLimits, child_environment, start_child
from callsheet.processes.landlock import FileAccess, Ruleset, landlock_version

from ..studio import Studio

needs_landlock = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")

CANARY = "canary-of-the-signing-key"
TONE = ["-f", "lavfi", "-i", "sine=d=0.1"]


def content(path: Path) -> str:
    return path.read_text()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "worker" / "signing.key"
    path.parent.mkdir()
    path.write_text(CANARY)
    return path


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job"
    path.mkdir()
    return path


@needs_landlock
@pytest.mark.parametrize("reader", ["volume=/volume={}", "metadata=mode=print:/key={}", "arnndn=m={}"])
async def test_a_filter_cannot_read_a_file_outside_the_job(ffmpeg: FFmpeg, secret: Path, job: Path, reader: str):
    with pytest.raises(JobError) as error:
        await ffmpeg.run([*TONE, "-af", reader.format(secret), str(job / "out.wav")], cwd=job)

    assert CANARY not in str(error.value) + str(error.value.facts)


@needs_landlock
async def test_without_the_sandbox_the_same_filter_reads_it(ffmpeg: FFmpeg, secret: Path, job: Path):
    with pytest.raises(JobError) as error:
        await FFmpeg(ffmpeg.binary, sandbox="off").run(
            [*TONE, "-af", f"volume=/volume={secret}", str(job / "out.wav")], cwd=job
        )

    assert CANARY in str(error.value.facts)


@needs_landlock
@pytest.mark.parametrize(
    "writer", ["loudnorm=stats_file={}", "firequalizer=dumpfile={}", "ametadata=mode=print:file={}"]
)
async def test_a_filter_cannot_write_a_file_outside_the_job(ffmpeg: FFmpeg, secret: Path, job: Path, writer: str):
    with suppress(FFmpegFailed):  # not every filter reports it
        await ffmpeg.run([*TONE, "-af", writer.format(secret), str(job / "out.wav")], cwd=job)

    assert content(secret) == CANARY


@needs_landlock
async def test_a_list_cannot_name_a_file_outside_the_job(ffmpeg: FFmpeg, studio: Studio, secret: Path, job: Path):
    hidden = secret.with_name("hidden.wav")
    await ffmpeg.run([*TONE, str(hidden)])
    (job / "list.txt").write_text(f"ffconcat version 1.0\nfile '{hidden}'\n")

    with pytest.raises(FFmpegFailed):
        await ffmpeg.run(["-f", "concat", "-safe", "0", "-i", str(job / "list.txt"), str(job / "out.wav")], cwd=job)


@needs_landlock
async def test_named_files_can_be_read_and_written(ffmpeg: FFmpeg, secret: Path, job: Path):
    outside = secret.with_name("tone.wav")
    await ffmpeg.run([*TONE, str(outside)])

    args = ["-i", str(outside), "-af", f"ametadata=mode=print:file={secret}", str(job / "out.wav")]
    await ffmpeg.run(args, write=[secret.parent])

    assert content(secret) != CANARY


@needs_landlock
async def test_there_is_no_network(job: Path):
    script = "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError as e: print(e.errno)"
    access = FileAccess(read=(Path("/"),))
    limits = ProcessLimits()
    async with start_child(
        [sys.executable, "-c", script], cwd=job, env=child_environment(), limits=limits, access=access
    ) as child:
        assert child.stdout is not None
        refused_by = int(await child.stdout.read())

    # Landlock restricts TCP from version 4 on; before, the port refuses the connection.
    assert refused_by == (13 if landlock_version() >= 4 else 111)


@needs_landlock
def test_a_process_may_read_about_itself_and_no_other(tmp_path: Path):
    ruleset = Ruleset(FileAccess(read=tuple(map(Path, ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")))))
    own = f"head -c 5 /proc/self/status; head -c 5 /proc/{os.getpid()}/environ"
    try:
        # `exec` keeps the process, so that it stays the one that entered the ruleset.
        made = subprocess.run(
            ["sh", "-c", f"exec {own.partition(';')[0]}"], preexec_fn=ruleset.enter, capture_output=True
        )
        other = subprocess.run(
            ["sh", "-c", f"exec {own.partition(';')[2]}"], preexec_fn=ruleset.enter, capture_output=True
        )
    finally:
        ruleset.close()

    assert made.stdout == b"Name:"
    assert (other.returncode, other.stdout) == (1, b"")


def test_a_kernel_without_landlock_restricts_nothing_unless_required(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 0)

    assert ffmpeg_access("auto", tmp_path, [], None) is None
    assert FFmpeg(tmp_path, sandbox="auto").sandbox == "auto"
    with pytest.raises(ConfigurationError, match="FFMPEG_SANDBOX is 'required', but this kernel has no Landlock"):
        FFmpeg(tmp_path, sandbox="required")


@needs_landlock
def test_inputs_are_readable_and_the_folders_of_outputs_writable(tmp_path: Path):
    binary = Path("/opt/ffmpeg/bin/ffmpeg")
    args = ["-i", "file:/data/a.mp4", "-i", "b.wav", "-passlogfile", "/work/log", "-f", "null", "/dev/null"]

    access = ffmpeg_access("auto", binary, args, tmp_path, read=[Path("/fonts")])

    assert access is not None
    assert {Path("/data/a.mp4"), tmp_path / "b.wav", Path("/fonts"), binary, Path("/opt/ffmpeg/lib")} <= {*access.read}
    assert {tmp_path, Path("/work"), Path("/dev/null")} <= {*access.write}
    assert not {Path("/"), Path("/data"), Path("/dev"), Path("/proc"), Path.home(), Path("/tmp")} & {
        *access.read,
        *access.write,
    }


@needs_landlock
async def test_runs_at_the_same_time_have_their_own_access(ffmpeg: FFmpeg, tmp_path: Path):
    folders = [tmp_path / str(number) for number in range(8)]
    for folder in folders:
        folder.mkdir()

    reports = await asyncio.gather(*(ffmpeg.run([*TONE, "out.wav"], cwd=folder) for folder in folders))

    assert all(report.seconds == pytest.approx(0.1) for report in reports)
