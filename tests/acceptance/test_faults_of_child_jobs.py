"""Jobs that run first on workers that are killed, and that are cancelled."""

import hashlib
from collections import Counter
from pathlib import Path

from callsheet.testing.waiters import until


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def plan(*wanted):
    return {"jobs": [{"id": "cut", "operation": "run-first", "params": {"jobs": list(wanted)}}]}


def cached(settings, name):
    folder = settings.files_dir / "callsheet-cache/piece" / digest(name)[:2] / digest(name)
    return folder.is_dir() and len(list(folder.iterdir())) == 1


async def test_what_a_killed_worker_cached_is_not_made_again(engine, settings, start, tmp_path):
    """The worker dies between keeping a piece and telling of it, with another piece half made."""
    gate, ledger, started = tmp_path / "gate", tmp_path / "ledger", tmp_path / "started"
    workers = [start(settings, f"worker {n}", CALLSHEET_LANES="test=3").ready() for n in range(2)]
    wanted = [
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

    execution_id = await engine.submit(plan(*wanted))
    await until(lambda: cached(settings, "p0") and len(started.read_text().split()) == 6, timeout=30)
    pids = {int(pid) for pid in started.read_text().split()}
    doomed = next(w for w in workers if w.process.pid == int(ledger.read_text().split()[1]))
    doomed.kill()
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
    assert {j.worker for j in execution.jobs[1:]} == {next(w.name for w in workers if w is not doomed)}


async def test_a_cancel_in_the_middle_leaves_no_process_behind(engine, settings, start, tmp_path):
    for n in range(2):
        start(settings, f"worker {n}", CALLSHEET_LANES="test=3").ready()
    pids = tmp_path / "pids"
    wanted = [{"id": f"p{n}", "operation": "child", "params": {"pidFile": str(pids)}} for n in range(6)]
    execution_id = await engine.submit(plan(*wanted))
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 6, timeout=30)

    await engine.cancel(execution_id, job="cut")
    execution = await engine.ended(execution_id)

    assert execution.status == "cancelled"
    assert {str(j.status) for j in execution.jobs} == {"cancelled"}
    await until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"
