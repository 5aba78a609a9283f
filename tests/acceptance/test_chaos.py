"""A short run of the chaos program, and proof that its audits find what they look for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = 20


@pytest.mark.chaos
def test_no_job_is_lost_doubled_or_paid_twice_under_random_faults():
    program = [sys.executable, "-m", "tests.chaos", "--minutes", "0.6", "--seed", str(SEED), "--fault-pause", "0.9"]
    run = subprocess.run([*program, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=500)

    print(run.stdout or run.stderr)
    report = json.loads(run.stdout)
    assert {kind: found for kind, found in report["faults"].items() if found} == {}
    assert run.returncode == 0
    assert len(report["injected"]) > 20
    assert report["counts"]["jobs"] > 30
