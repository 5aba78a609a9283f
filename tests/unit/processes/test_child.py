"""Child processes start with their limits, from any process, and report why they cannot start."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from callsheet.processes.child import ProcessLimits, child_environment, start_child


class SlowToRelease:
    """An object whose release in a forked process takes a minute, such as a decoder that waits for its threads."""

    def __init__(self) -> None:
        self.owner = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.owner:
            time.sleep(60)  # sleep: a destructor that waits


async def output_of(*argv: str, limits: ProcessLimits | None = None, cwd: Path | None = None) -> str:
    async with start_child(argv, cwd=cwd, env=child_environment(), limits=limits or ProcessLimits()) as process:
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode()


async def test_a_start_does_not_wait_for_the_objects_of_other_threads():
    started, finish = threading.Event(), threading.Event()
    of_thread = threading.local()

    def work() -> None:
        of_thread.decoder = SlowToRelease()
        started.set()
        finish.wait()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    try:
        async with asyncio.timeout(20):
            assert await output_of("echo", "started") == "started\n"
    finally:
        finish.set()
        thread.join()


async def test_a_program_starts_with_its_limits():
    limits = ProcessLimits(file_bytes=2**20, cpu_seconds=7)

    printed = await output_of(
        "sh", "-c", "ulimit -c; ulimit -f; ulimit -t; cat /proc/self/oom_score_adj", limits=limits
    )

    core, blocks, seconds, oom_score = map(int, printed.split())
    assert (core, blocks in (1024, 2048), seconds, oom_score >= 500) == (0, True, 7, True)


async def test_a_program_ignores_no_signals_and_inherits_no_files():
    printed = await output_of("sh", "-c", "grep SigIgn /proc/self/status; ls /proc/self/fd")

    ignored, *descriptors = printed.split()[1:]
    # The fourth is the folder that `ls` reads.
    # What ignores signals from the start, such as nohup, has the tests ignore them, too.
    assert (int(ignored, 16), descriptors) == (_ignored_from_the_start(), ["0", "1", "2", "3"])


def _ignored_from_the_start() -> int:
    """Return the signals that this process ignores, apart from those that Python itself ignores."""
    status = Path("/proc/self/status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    return ignored & ~sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ))


async def test_a_program_is_killed_by_the_signal_for_files_that_are_too_large(tmp_path: Path):
    argv = ("sh", "-c", "exec head -c 2000000 /dev/zero > file")
    limits = ProcessLimits(file_bytes=2**20)
    async with start_child(argv, cwd=tmp_path, env=child_environment(), limits=limits) as process:
        assert await process.wait() == -signal.SIGXFSZ


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("no-such-program", FileNotFoundError),
        ("/no/such/program", FileNotFoundError),
        ("/etc/passwd", PermissionError),
        ("/etc/passwd/program", NotADirectoryError),
    ],
)
async def test_a_program_that_cannot_be_started_is_an_error_that_names_it(program: str, error: type[OSError]):
    with pytest.raises(error) as caught:
        await output_of(program)

    assert caught.value.filename == program


async def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        await output_of("true", cwd=tmp_path / "gone")


async def test_a_failed_start_leaves_no_open_files():
    before = open_files()
    for _ in range(5):
        with pytest.raises(FileNotFoundError):
            await output_of("no-such-program")

    # The loop opens a few for the first child process only.
    assert open_files() <= before + 3


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
