"""Measurements of this machine."""

import asyncio
import hashlib
import threading
import time

import psutil
import pytest

from callsheet.machine.daemon_thread import in_daemon_thread
from callsheet.machine.memory import measure_memory
from callsheet.machine.sampler import Sampler

GIB = 2**30


async def test_a_measurement_has_the_processor_memory_and_disks_of_this_machine(tmp_path):
    sampler = Sampler({"data": tmp_path / "not" / "made" / "yet", "scratch": tmp_path})
    end = time.monotonic() + 0.3
    while time.monotonic() < end:  # the process works meanwhile
        hashlib.sha256(bytes(100_000)).digest()

    found = await sampler.measure()

    assert 0 < found.cpu.percent <= 100 and found.cpu.count >= 1 and found.cpu.load >= 0
    assert found.memory.total <= psutil.virtual_memory().total
    assert 0 < found.memory.worker < found.memory.total
    [disk] = found.disks
    assert disk.folders == ["data", "scratch"] and 0 < disk.free <= disk.total


async def test_a_measurement_while_another_one_hangs_fails_at_once(tmp_path, monkeypatch):
    sampler, hangs, begun = Sampler({"data": tmp_path}), threading.Event(), threading.Event()

    def hang():
        begun.set()
        assert hangs.wait(60)
        return []

    monkeypatch.setattr("callsheet.machine.sampler.measure_gpus", hang)
    first = asyncio.create_task(sampler.measure())
    await asyncio.to_thread(begun.wait, 60)

    with pytest.raises(TimeoutError, match="has not returned"):
        await sampler.measure()
    hangs.set()
    assert (await first).gpus == []


async def test_a_call_that_hangs_is_given_up():
    hangs = threading.Event()

    with pytest.raises(TimeoutError):
        await in_daemon_thread(hangs.wait, timeout=0.01)
    hangs.set()


async def test_an_error_of_the_call_is_raised():
    def fail():
        raise OSError("no such device")

    with pytest.raises(OSError, match="no such device"):
        await in_daemon_thread(fail, timeout=60)


@pytest.mark.parametrize(("limit", "total"), [("max", None), (str(2**60), None), (str(GIB), GIB)])
def test_the_limit_of_a_container_counts_as_its_memory(tmp_path, limit, total):
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    (tmp_path / "memory.current").write_text(f"{3 * GIB // 4}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {GIB // 4}\nslab 5\n")

    found = measure_memory(tmp_path)

    assert found.total == (total or psutil.virtual_memory().total)
    if total:
        assert (found.available, found.percent) == (GIB // 2, 50)


def test_without_a_container_it_is_the_memory_of_the_machine(tmp_path):
    found = measure_memory(tmp_path)

    assert found.total == psutil.virtual_memory().total
    assert 0 < found.percent < 100
