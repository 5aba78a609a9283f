"""The units are valid, hardened, and let Callsheet do its work."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from callsheet.cli.app import app

UNITS = Path(__file__).parents[3] / "deploy/systemd"
NAMES = sorted(path.name for path in UNITS.glob("*.service"))
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze of systemd")


def lines_of(name, key):
    return re.findall(rf"^{key}=(.*)$", (UNITS / name).read_text(), re.MULTILINE)


@pytest.fixture
def installed(tmp_path):
    """The units, with the `callsheet` of this environment instead of the one of an installation."""
    for name in NAMES:
        text = (UNITS / name).read_text()
        program = str(Path(sys.executable).with_name("callsheet"))
        (tmp_path / name).write_text(text.replace("/opt/callsheet/bin/callsheet", program))
    return tmp_path


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_no_complaint(installed, name):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_systemd_finds_a_misspelt_directive(installed):
    unit = installed / "callsheet.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    assert "'ProtectHomes'" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_command_exists_with_its_options(name):
    [line] = lines_of(name, "ExecStart")
    options = re.findall(r"WORKER_OPTIONS=([^\"]*)", (UNITS / name).read_text())
    line = line.replace("$WORKER_OPTIONS", options[0] if options else "").replace("%i", "render").replace("%%", "%")
    [program, name_of_command, *arguments] = line.split()
    command = typer.main.get_command(app).commands[name_of_command]

    assert program == "/opt/callsheet/bin/callsheet"
    values = command.make_context("callsheet", arguments).params
    if name_of_command == "worker":
        assert (values["queues"], values["name"]) == ("render", "render@%h")


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_little_is_exposed(name):
    """systemd rates what a service may do from 0 (nothing) to 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--json=short", "--threshold=25", str(UNITS / name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [row["name"] for row in json.loads(done.stdout) if row.get("exposure")]
    assert done.returncode == 0, found


@pytest.mark.parametrize("name", NAMES)
def test_what_callsheet_needs_is_not_forbidden(name):
    # Machine code that is compiled at run time; /proc/meminfo.
    assert lines_of(name, "MemoryDenyWriteExecute") == lines_of(name, "ProcSubset") == []
    # Landlock, which restricts FFmpeg, needs this, and system calls that older groups of systemd do not have.
    assert lines_of(name, "NoNewPrivileges") == ["yes"]
    calls = {call for line in lines_of(name, "SystemCallFilter") for call in line.split()}
    assert calls == {
        "@system-service",
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
    }
    # SIGTERM for the main process only.
    assert lines_of(name, "KillMode") == ["mixed"]


@pytest.mark.parametrize(
    ("name", "hidden"), [(n, n.startswith(("callsheet-server", "callsheet-intake"))) for n in NAMES]
)
def test_workers_see_graphics_cards(name, hidden):
    assert lines_of(name, "PrivateDevices") == (["yes"] if hidden else [])
