"""Every command of the documentation can be typed: programs, subcommands, options, arguments, files and variables."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest
import typer
from tests.support.documentation import PAGES, ROOT, SHELL, Command, blocks_of, commands_of, generator
from typer._click.exceptions import UsageError

from callsheet.cli.app import app
from callsheet.providers.catalog import load_provider_classes
from callsheet.settings import Settings

BLOCKS = [block for page in PAGES for block in blocks_of(page) if block.language in SHELL]
COMMANDS = [(block, command) for block in BLOCKS for command in commands_of(block)]
CURL = [(block, command) for block, command in COMMANDS if command.program == "curl"]

OF_OTHERS = frozenset(
    {
        *("", ".", "cd", "cp", "docker", "find", "git", "journalctl", "kubectl", "node", "npm", "npx", "ollama"),
        *(
            "nvidia-smi",
            "pg_dump",
            "pg_restore",
            "pkill",
            "python",
            "python3",
            "redis-cli",
            "sh",
            "source",
            "systemctl",
            "tail",
        ),
    }
)
"""Programs whose options no test knows; an empty name is a line that only sets variables."""

MADE_BY_READERS = {"deploy/kubernetes/ours", "dist"}
"""Paths that commands of a page create."""

OTHER_VARIABLES = {
    "ID": "a value of the response above",
    "KEY": "a value of the response above",
    "CUDA_VISIBLE_DEVICES": "of CUDA",
    "FLOWER_USER": "of Flower",
    "FLOWER_PASSWORD": "of Flower",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "of OpenTelemetry",
}
"""Variables that are not settings, and whose they are."""


def test_there_are_commands():
    assert len(COMMANDS) > 150
    assert len(CURL) > 5


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_shell_can_read_the_commands(block):
    text = block.text if block.language == "sh" else "\n".join(str(command) for command in commands_of(block))
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_commands_exist_with_their_arguments(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in commands_of(block):
        check_command(command)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_files_of_the_repository_in_commands_exist(block):
    for command in commands_of(block):
        for word in (command.program, *command.arguments):
            path = re.match(r"(deploy|scripts|examples|clients|tests|tools|docs)/[^\s'\"]*", word)
            if path and not path[0].startswith(tuple(MADE_BY_READERS)):
                assert list(ROOT.glob(path[0].rstrip("/"))), f"`{command}`: there is no {path[0]}"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_variables_of_commands_are_settings(block):
    known = known_variables()
    for command in commands_of(block):
        assert {*command.variables} - known - {*OTHER_VARIABLES} == set(), str(command)


def known_variables():
    """Return the names of all settings, with the names of other systems that are read too."""
    names = {"CALLSHEET_URL"}
    classes = [Settings, *(provider.settings_class for provider in load_provider_classes().values())]
    for field in (field for each in classes for field in each.model_fields.values()):
        names |= {str(choice) for choice in getattr(field.validation_alias, "choices", ())}
    names |= {f"CALLSHEET_{name.upper()}" for name in Settings.model_fields}
    for provider in load_provider_classes().values():
        names |= {v for name in provider.settings_class.model_fields for v in provider.settings_class.variables(name)}
    return {*names, *(f"{name}_FILE" for name in names)}


def check_command(command: Command):
    name = Path(command.program).name
    checks = {"callsheet": check_callsheet, "celery": check_celery, "pip": check_pip, "make": check_make}
    if command.program == "uvx":
        check_command(Command({}, command.arguments[0], command.arguments[1:]))
    elif command.program == "sudo":
        words = [word for word in command.arguments if not word.startswith("-")]
        assert words, str(command)
    elif name in checks:
        checks[name](command)
    elif name not in {*OF_OTHERS, "curl"}:
        assert command.program.startswith("scripts/"), f"`{command}`: no test knows this program"


def check_callsheet(command: Command):
    """Let the real command line parse it: names, options, types of values, missing arguments."""
    words = ["019ab1f0-5c3e-7a10-9d7e-0f4b3c2d1e00" if word == "ID" else word for word in command.arguments]
    group = typer.main.get_command(app)
    while hasattr(group, "commands") and words and not words[0].startswith("-"):
        assert words[0] in group.commands, f"`{command}`: there is no command '{words[0]}'"
        group = group.commands[words.pop(0)]
    if hasattr(group, "commands"):
        known = {name for option in group.params for name in option.opts} | {"--help", "--install-completion"}
        assert {*words} <= known, command
        return
    for word in words:
        # Files that the reader has.
        if re.fullmatch(r"@?[\w-]+\.(yaml|csv|json|otio|py|txt|png)", word):
            Path(word.removeprefix("@")).touch()
    try:
        group.make_context(group.name, words)
    except UsageError as error:
        pytest.fail(f"`{command}`: {error.format_message()}")


def check_celery(command: Command):
    from celery.bin.celery import celery

    assert command.arguments[:2] == ("-A", "callsheet.intake.celery"), command
    subcommand, *words = command.arguments[2:]
    assert subcommand in celery.commands or subcommand == "flower", command
    if subcommand == "inspect":
        from celery.worker.control import Panel

        assert words[0] in Panel.meta, command


def check_pip(command: Command):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in command.arguments:
        if found := re.fullmatch(r"callsheet\[(.+)\]", word):
            assert {*found[1].split(",")} <= {*extras}, f"`{command}`: there is no such extra"


def check_make(command: Command):
    verbs = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {*command.arguments} <= {*verbs}, command


@pytest.fixture(scope="module")
def description():
    return generator().api_description()


@pytest.mark.parametrize(("block", "command"), CURL, ids=str)
def test_requests_by_curl_fit_the_description_of_the_api(block, command, description):
    words = [*command.arguments]
    url = next(word for word in words if word.startswith("http"))
    body = next((words[i + 1] for i, word in enumerate(words) if word in ("-d", "--data", "--data-binary")), None)
    method = words[words.index("-X") + 1] if "-X" in words else "GET" if body is None else "POST"

    path, operation = find_operation(description, method.lower(), urlsplit(url).path)
    parameters = {each["name"]: each["schema"] for each in operation.get("parameters", ())}
    assert {name for name, _ in parse_qsl(urlsplit(url).query)} <= {*parameters}, path
    content = operation.get("requestBody", {}).get("content", {})
    assert (body is None) == (not content) or body.startswith("@"), path
    if body is not None and not body.startswith("@"):
        sent = json.loads(re.sub(r"\$\(.*?\)(?=[\",])", "1", body))
        if "$(" not in body:
            schema = {**content["application/json"]["schema"], "components": description["components"]}
            jsonschema.validate(sent, schema)


def find_operation(description, method, path):
    """Return the route that answers a path, and its description."""
    for template, methods in description["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if method in methods and re.fullmatch(pattern, re.sub(r"\$\w+", "x", path)):
            return template, methods[method]
    pytest.fail(f"there is no {method.upper()} {path}")


def test_the_check_finds_wrong_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong_commands = (
        Command({}, "callsheet", ("rn", "plan.yaml")),
        Command({}, "callsheet", ("run", "plan.yaml", "--outt", "x")),
        Command({}, "callsheet", ("executions", "list", "--limit", "many")),
        Command({}, "callsheet", ("batches", "show")),
        Command({}, "celery", ("-A", "callsheet.intake.celery", "inspect", "activ")),
        Command({}, "pip", ("install", "callsheet[redi]")),
        Command({}, "make", ("sit",)),
        Command({}, "kubectll", ()),
    )
    for wrong in wrong_commands:
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            check_command(wrong)
