"""The supervisor with small real child processes."""

import asyncio
import os
import signal
import sys

import psutil
import pytest

from callsheet.processes.supervisor import Supervisor

CHILD = """
import signal, sys, threading
from callsheet.processes.lifeline import Lifeline
lifeline = Lifeline.from_environment(grace=0)
print("up", flush=True)
sigterms = threading.Semaphore(0)
signal.signal(signal.SIGTERM, lambda *_: sigterms.release())
open(sys.argv[1], "a").write("x")
for _ in range(int(sys.argv[2])):
    while not sigterms.acquire(timeout=0.02):
        pass
{end}
"""


def child(folder, end, *, signals=0):
    """Command line of a child that counts its starts in a file, waits for `signals` SIGTERMs, and then runs `end`."""
    script = folder / "child.py"
    script.write_text(CHILD.replace("{end}", end))
    return [sys.executable, str(script), str(folder / "starts"), str(signals)]


@pytest.fixture
def supervise(tmp_path):
    deaths = []

    async def on_death(worker):
        deaths.append(worker)

    def make(end, **more):
        command = child(tmp_path, end, **more)
        supervisor = Supervisor(lambda *_: command, env=os.environ, on_death=on_death, grace=0)
        return (
            supervisor,
            deaths,
            lambda: len((tmp_path / "starts").read_text()) if (tmp_path / "starts").exists() else 0,
        )

    return make


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.02)


async def test_a_child_that_reports_done_is_not_restarted(supervise):
    supervisor, deaths, starts = supervise("lifeline.report_done()")

    assert await supervisor.run() == 0
    assert (starts(), deaths) == (1, [])


async def test_a_child_that_reports_fatal_ends_the_supervisor_with_its_exit_status(supervise):
    supervisor, deaths, starts = supervise("lifeline.report_fatal(ValueError('no')); sys.exit(2)")

    assert await supervisor.run() == 2
    assert (starts(), deaths) == (1, [])


@pytest.mark.parametrize("end", ["sys.exit(0)", "sys.exit(7)", "import os; os.kill(os.getpid(), 9)"])
async def test_a_child_that_dies_is_restarted_and_its_death_is_reported(supervise, end):
    supervisor, deaths, starts = supervise(end)
    running = asyncio.create_task(supervisor.run())

    await until(lambda: starts() >= 3)
    supervisor.stop()
    await asyncio.wait_for(running, 30)

    assert len(set(deaths)) >= 2


async def test_a_child_that_does_not_stay_up_is_trouble_with_its_cause(supervise):
    supervisor, _, starts = supervise("lifeline.report_failed(OSError('token=hunter2 is\\nwrong')); sys.exit(7)")
    troubles = set()

    def seen():
        troubles.add(supervisor.trouble)
        return starts() >= 4

    running = asyncio.create_task(supervisor.run())
    await until(seen)
    supervisor.stop()
    await asyncio.wait_for(running, 30)

    # Once or twice is no trouble: a job may do that.
    assert None in troubles
    assert (
        "The worker process died 3 times in a row; the last time: exit status 7, OSError: token=[hidden] is wrong."
        in troubles
    )


async def test_a_child_that_stays_up_is_no_trouble_any_more(supervise, monkeypatch, tmp_path):
    monkeypatch.setattr("callsheet.processes.supervisor._STABLE_AFTER", 3.0)
    end = "if len(open(sys.argv[1]).read()) < 4: sys.exit(7)\nsigterms.acquire()\nlifeline.report_done()"
    supervisor, _, starts = supervise(end)
    running = asyncio.create_task(supervisor.run())

    await until(lambda: supervisor.trouble)
    await until(lambda: starts() == 4 and not supervisor.trouble)
    supervisor.stop()

    assert await asyncio.wait_for(running, 30) == 0


async def test_each_stop_is_forwarded_once(supervise):
    supervisor, deaths, starts = supervise("lifeline.report_done()", signals=2)
    running = asyncio.create_task(supervisor.run())
    await until(starts)

    supervisor.stop()
    done, _ = await asyncio.wait({running}, timeout=0.5)
    assert not done
    supervisor.stop()

    assert await asyncio.wait_for(running, 30) == 0
    assert deaths == []


async def test_the_child_terminates_when_its_parent_is_killed(tmp_path):
    command = child(tmp_path, "lifeline.report_done()", signals=1)
    parent = (
        "import asyncio, os, sys\nfrom callsheet.processes.supervisor import Supervisor\n"
        "async def death(_): pass\n"
        "asyncio.run(Supervisor(lambda *_: sys.argv[1:], env=os.environ, on_death=death, grace=0).run())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent, *command, stdout=asyncio.subprocess.PIPE
    )
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"up\n"
    (pid,) = [child.pid for child in psutil.Process(process.pid).children()]

    process.send_signal(signal.SIGKILL)

    await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    await process.wait()
    process._transport.close()


async def test_a_child_that_is_silent_gets_a_heartbeat_until_it_is_hung_and_then_a_kill(supervise):
    silent = []

    async def on_silence(worker):
        silent.append(worker)

    # Sleeping with the interpreter lock held, no thread of the child can report.
    supervisor, deaths, _ = supervise("lifeline.report_alive(2); import ctypes; ctypes.PyDLL(None).sleep(600)")
    supervisor._on_silence, supervisor._interval = on_silence, 0.1
    running = asyncio.create_task(supervisor.run())

    await until(lambda: deaths)
    supervisor.stop()
    supervisor.stop()
    supervisor.stop()
    await running

    assert deaths[0] in silent


async def test_a_stopped_child_gets_no_heartbeat_and_is_not_killed(supervise):
    silent = []

    async def on_silence(worker):
        silent.append(worker)

    end = "lifeline.report_alive(0.2); import os; os.kill(os.getpid(), 19)"
    supervisor, deaths, _ = supervise(end)
    supervisor._on_silence, supervisor._interval = on_silence, 0.1
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor._children and psutil.Process(supervisor._children[0].pid).status() == "stopped")
    silent.clear()

    await asyncio.sleep(1)  # sleep: nothing may be reported meanwhile

    assert (deaths, silent) == ([], [])
    os.kill(supervisor._children[0].pid, signal.SIGKILL)
    supervisor.stop()
    await running


RECYCLING = """
signal.signal(signal.SIGUSR1, lambda *_: (lifeline.report_done(), sys.exit(0)))
signal.signal(signal.SIGUSR2, lambda *_: lifeline.report_recycling())
lifeline.report_alive(600)
while not sigterms.acquire(timeout=0.02):
    pass
lifeline.report_done()
"""


@pytest.fixture
async def recycling(tmp_path):
    """A running supervisor whose child recycles at its signal, the deaths, and the command lines of all children."""
    deaths, commands, command = [], [], child(tmp_path, RECYCLING)

    async def on_death(worker):
        deaths.append(worker)

    def note(worker, follows):
        commands.append((worker, list(follows)))
        return command

    supervisor = Supervisor(note, env=os.environ, on_death=on_death, grace=60)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor._children and supervisor._children[0].reports.has_started)
    yield supervisor, running, deaths, commands
    for _ in range(3):
        supervisor.stop()
    await asyncio.wait_for(running, 60)


async def recycle(supervisor):
    """Replace the newest child, and wait until its successor runs."""
    children = len(supervisor._children)
    supervisor.recycle()
    await until(lambda: len(supervisor._children) > children and supervisor._children[-1].reports.has_started)


async def test_a_child_that_recycles_gets_a_successor_that_knows_which_children_still_end_their_jobs(recycling):
    supervisor, running, deaths, commands = recycling

    await recycle(supervisor)
    await recycle(supervisor)

    [(first, _), (second, follows_first), (_, follows_both)] = commands
    assert (follows_first, follows_both) == ([first], [first, second])
    assert supervisor.trouble is None
    supervisor.stop()
    assert await asyncio.wait_for(running, 60) == 0
    assert deaths == []


async def test_the_death_of_a_child_that_ends_its_jobs_is_reported_and_starts_no_other(recycling):
    supervisor, running, deaths, commands = recycling
    await recycle(supervisor)

    os.kill(supervisor._children[0].pid, signal.SIGKILL)
    await until(lambda: deaths)

    assert deaths == [commands[0][0]]
    supervisor.stop()
    assert await asyncio.wait_for(running, 60) == 0
    assert len(commands) == 2


async def test_a_drain_ends_all_children_and_starts_no_other(recycling):
    supervisor, running, deaths, commands = recycling
    await recycle(supervisor)

    supervisor.drain()

    assert await asyncio.wait_for(running, 60) == 0
    assert (len(commands), deaths) == (2, [])
