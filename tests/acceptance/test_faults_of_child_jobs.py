"""Child jobs on workers that are killed, and cancelled child jobs."""

import hashlib
import re
from collections import Counter
from pathlib import Path

from callsheet.testing.waiters import until


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def plan(*children):
    return {"jobs": [{"id": "cut", "operation": "run-children", "params": {"jobs": list(children)}}]}


def cached(settings, name):
    """Return whether the file is in the cache. While it is written, the folder has a file with another name."""
    folder = settings.files_dir / "callsheet-cache/piece" / digest(name)[:2] / digest(name)
    return any(re.fullmatch("[0-9a-f]{64}-[0-9]+", path.name) for path in folder.glob("*"))


async def test_work_cached_by_a_killed_worker_is_not_repeated(engine, settings, start, tmp_path):
    """The worker dies after it cached a piece and before it recorded that, with another piece unfinished."""
    gate, ledger, started = tmp_path / "gate", tmp_path / "ledger", tmp_path / "started"
    workers = [start(settings, f"worker {n}", CALLSHEET_LANES="test=3").ready() for n in range(2)]
    children = [
        {
            "id": f"p{n}",
            "operation": "piece",
            "params": {
                "digest": digest(f"p{n}"),
                "ledger": str(ledger),
                "started": str(started),
                **({"heldUntil": str(gate)} if n == 0 else {"until": str(gate)}),
            },
        }
        for n in range(6)
    ]

    execution_id = await engine.submit(plan(*children))
    await until(lambda: cached(settings, "p0") and len(started.read_text().split()) == 6, timeout=30)
    pids = {int(pid) for pid in started.read_text().split()}
    running = await engine.job(execution_id, "cut/p0")
    victim = next(worker for worker in workers if worker.name == running.worker)
    victim.kill()
    begun = await engine.wait(execution_id, "job.running", job="cut/p0")
    await engine.wait(execution_id, "job.queued", job="cut/p0", after=begun.number, timeout=30)
    gate.touch()
    execution = await engine.ended(execution_id)

    assert pids == {worker.process.pid for worker in workers}
    assert execution.status == "succeeded"
    assert {j.job_id: j.result["value"] for j in execution.jobs} == {
        "cut": 1,
        "cut/p0": "found",
        **{f"cut/p{n}": "made" for n in range(1, 6)},
    }
    made = Counter(line.split()[0] for line in ledger.read_text().splitlines())
    assert made == {digest(f"p{n}"): 1 for n in range(6)}
    assert {j.attempts for j in execution.jobs} == {0}
    assert {j.worker for j in execution.jobs[1:]} == {next(w.name for w in workers if w is not victim)}


async def test_a_cancel_leaves_no_process_behind(engine, settings, start, tmp_path):
    for n in range(2):
        start(settings, f"worker {n}", CALLSHEET_LANES="test=3").ready()
    pids = tmp_path / "pids"
    children = [{"id": f"p{n}", "operation": "child", "params": {"pidFile": str(pids)}} for n in range(6)]
    execution_id = await engine.submit(plan(*children))
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 6, timeout=30)

    await engine.cancel(execution_id, job="cut")
    execution = await engine.ended(execution_id)

    assert execution.status == "cancelled"
    assert {str(j.status) for j in execution.jobs} == {"cancelled"}
    await until(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()))


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"
