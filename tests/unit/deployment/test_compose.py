"""The Compose files fit the schema of the Compose specification, the settings, and each other."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from flower.options import default_options
from tests.unit.deployment.settings_variables import setting_variables

from callsheet.cli.app import app
from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "tests/schemas/compose-spec/compose-spec.json").read_text())
FILES = ("docker-compose.yml", "docker-compose.workers.yml")
TEXTS = {name: (ROOT / name).read_text() for name in FILES}
DOCUMENTS = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
SERVICES = {name: service for document in DOCUMENTS.values() for name, service in document["services"].items()}
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("callsheet:")}
PROMETHEUS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())


@pytest.mark.parametrize("name", FILES)
def test_it_fits_the_schema_of_the_specification(name):
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(DOCUMENTS[name])) == []


def test_the_schema_finds_a_misspelt_field():
    wrong = {"services": {"api": {"image": "callsheet", "restarts": "always"}}}
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid(wrong)


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting(name):
    flower = {f"FLOWER_{option.upper()}" for option in default_options}
    known = setting_variables() | (flower if name == "flower" else set())

    assert set(OURS[name]["environment"]) - known == set()


def test_the_settings_are_valid(monkeypatch):
    for name, value in OURS["celery-video-render"]["environment"].items():
        plain = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:\?[^}]*\}", "0123456789abcdef0123456789abcdef", plain))
    settings = Settings(_env_file=None)

    assert (settings.s3_endpoint, settings.s3_bucket, settings.monitor_port) == (
        "http://s3.localhost:8333",
        "callsheet",
        3031,
    )


def test_both_files_give_the_same_settings():
    first, second = DOCUMENTS.values()
    assert first["x-environment"] == second["x-environment"]
    assert first["x-callsheet"] == second["x-callsheet"]
    assert first["name"] == second["name"]


def test_every_service_of_the_workers_has_the_concurrency_of_its_name():
    lanes = {}
    for name, service in DOCUMENTS["docker-compose.workers.yml"]["services"].items():
        found = [part.partition("=")[2] for part in service["command"] if part.startswith("--concurrency=")]
        lanes[name] = found[0] if found else None
    assert lanes == {
        "celery-intake": None,
        "celery-ml-worker": "ads=4,default=4",
        "celery-ml-beat": None,
        "celery-video-render": "render=2",
        "celery-video-preview": "preview=4",
        "celery-video-transcode": "transcode=2",
        "celery-video-caption": "caption=1",
        "celery-video-beat": None,
        "flower": None,
    }


def test_the_workers_together_serve_every_queue():
    services = DOCUMENTS["docker-compose.workers.yml"]["services"].values()
    served = [part.removeprefix("--queues=") for service in services for part in service["command"] if "queues" in part]

    assert sorted(queue for queues in served for queue in queues.split(",")) == sorted(discover(()).queues())


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"flower"}))
def test_every_command_exists_with_its_options(name):
    command, arguments = typer.main.get_command(app), [str(part) for part in OURS[name]["command"]]
    while arguments and hasattr(command, "commands") and arguments[0] in command.commands:
        command = command.commands[arguments.pop(0)]

    assert not hasattr(command, "commands"), f"{arguments} is no command"
    context = command.make_context("callsheet", arguments)
    assert context.args == []


@pytest.mark.parametrize("name", sorted(OURS))
def test_containers_have_few_rights(name):
    service = OURS[name]
    assert (service["read_only"], service["cap_drop"], service["security_opt"]) == (
        True,
        ["ALL"],
        ["no-new-privileges:true"],
    )
    # Two of a service need no name and no port of the host.
    assert "container_name" not in service
    if name not in {"api", "flower"}:
        assert "ports" not in service


def test_ports_are_open_to_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_mounted_file_exists():
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]

    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert "./deploy/prometheus/alerts.yml:/etc/prometheus/alerts.yml:ro" in mounts
    assert PROMETHEUS["rule_files"] == ["/etc/prometheus/alerts.yml"]


def test_prometheus_reads_every_server_and_worker_on_its_port():
    targets = {
        name: discovery["port"]
        for scrape in PROMETHEUS["scrape_configs"]
        for discovery in scrape["dns_sd_configs"]
        for name in discovery["names"]
    }
    serving = {name: 8500 for name, service in OURS.items() if service["command"] == ["serve"]}
    monitored = {
        name: service["environment"]["CALLSHEET_MONITOR_PORT"]
        for name, service in OURS.items()
        if service["command"][0] == "worker"
    }
    assert targets == {**serving, **monitored}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus")
def test_prometheus_accepts_its_configuration():
    command = ["promtool", "check", "config", "--syntax-only", str(ROOT / "deploy/prometheus/prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_script_writes_every_secret_that_the_files_require_and_keeps_them(tmp_path):
    script = tmp_path / "deploy/docker/make-env.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy/docker/make-env.sh", script)
    subprocess.run(["sh", str(script)], check=True, capture_output=True, cwd="/")

    file = tmp_path / ".env"
    written = dict(line.split("=") for line in file.read_text().splitlines())
    required = {name for text in TEXTS.values() for name in re.findall(r"\$\{(\w+):\?", text)}
    assert required <= written.keys()
    secrets = [value for name, value in written.items() if name not in {"S3_ACCESS_KEY", "FLOWER_USER"}]
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in secrets)
    assert len({*secrets}) == len(secrets)
    assert file.stat().st_mode & 0o777 == 0o600

    again = subprocess.run(["sh", str(script)], check=False, capture_output=True, text=True)
    assert (again.returncode, "left alone" in again.stderr) == (1, True)
    assert dict(line.split("=") for line in file.read_text().splitlines()) == written
