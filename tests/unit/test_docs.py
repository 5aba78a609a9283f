"""The documentation is correct: links resolve, examples run, generated parts are fresh."""

import ast
import os
import re
import shlex
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import yaml
from tests.support.documentation import DOCS, PAGES, ROOT, blocks_of, generator

import callsheet
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import check_plan, read_plan, read_submission
from callsheet.domain.standard_webhooks import secret_text, signed_headers
from callsheet.domain.statuses import ExecutionStatus, JobStatus
from callsheet.operation_api.catalog import discover
from callsheet.providers.catalog import load_provider_classes
from callsheet.settings import Settings

EVENTS = DOCS / "events-and-webhooks.md"
OWN_OPERATION = DOCS / "add-an-operation.md"

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
PLANS = [block for block in BLOCKS if "plan" in block.words]
RUNNABLE = [block for block in PLANS if block.file]
SQL = [block for block in BLOCKS if block.language == "sql"]


def by_page(page):
    return str(page.relative_to(ROOT))


def commands_in(page):
    """Every command named in the text."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`((?:callsheet|make) [^`…]+)`", prose)


@pytest.fixture(scope="module")
def generate():
    return generator()


@pytest.fixture(scope="module")
def routes(generate):
    """The addresses of the API, as patterns."""
    addresses = re.findall(r"`[A-Z]+ (/[^`]+)`", generate.routes_part(""))
    return [re.compile(re.sub(r"\{\w+\}", "[^/]+", address)) for address in addresses]


@pytest.fixture
def own_operations(tmp_path, monkeypatch):
    """The operations that the documentation writes, imported as a reader would have saved them."""
    for block in blocks_of(OWN_OPERATION):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
    monkeypatch.syspath_prepend(tmp_path)
    yield discover(["boomerang"]).with_settings(Settings(_env_file=None))
    sys.modules.pop("boomerang", None)


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_generated_parts_are_fresh(page, generate):
    assert generate.refreshed(page.read_text()) == page.read_text(), "out of date: run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors_of(file), f"{target}: the page has no such heading"


def anchors_of(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page():
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", (DOCS / "README.md").read_text())}

    assert linked >= {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}


@pytest.mark.parametrize("block", PLANS, ids=str)
def test_plans_are_accepted(block, own_operations):
    data = read_plan_text(block.text, max_bytes=2**20)

    plan = read_submission(data).execution_plan if "executionPlan" in data else read_plan(data)

    check_plan(plan, own_operations, max_jobs=100)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_can_be_compiled(block):
    assert compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_readme_shows_the_program_that_the_package_shows():
    shown = next(block for block in blocks_of(ROOT / "README.md") if "docstring" in block.words)
    indented = [line for line in callsheet.__doc__.splitlines() if not line.strip() or line.startswith("    ")]

    assert shown.text.strip() == textwrap.dedent("\n".join(indented)).strip()


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
async def test_plans_to_be_saved_make_files(block, settings, own_operations, tmp_path):
    own = [operation for operation in own_operations.operations() if operation.name == "boomerang"]
    seen = set()

    execution = await callsheet.arun(
        yaml.safe_load(block.text),
        operations=own,
        settings=settings,
        out=tmp_path / "films",
        on_event=lambda event: seen.add(event.type),
    )

    assert execution.status == "succeeded"
    assert all(f"`{kind}`" in EVENTS.read_text() for kind in seen)
    assert sum(path.is_file() for path in (tmp_path / "films").rglob("*")) == len(execution.artifacts) > 0


def test_the_tests_of_an_own_operation_pass(own_operations, tmp_path, database_url):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_boomerang.py"],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_documented_verification_accepts_only_our_webhooks():
    program = next(block for block in blocks_of(EVENTS) if block.file == "verify.py")
    exec(program.text, shown := {})
    verify, body, now = shown["verify"], b'{"type":"execution.succeeded"}', datetime.now(UTC)
    headers = signed_headers([b"k" * 32], "notice-1", now, body)
    secret = secret_text(b"k" * 32)

    assert verify(secret, headers, body)
    assert not verify(secret, headers, body + b" ")
    assert not verify(secret_text(b"x" * 32), headers, body)
    assert not verify(secret, headers | {"webhook-id": "notice-2"}, body)
    old = signed_headers([b"k" * 32], "notice-1", now - timedelta(minutes=6), body)
    assert not verify(secret, old, body)
    both = headers | {"webhook-signature": f"v1,{'A' * 44} {headers['webhook-signature']}"}
    assert verify(secret, both, body)


@pytest.mark.parametrize("block", SQL, ids=str)
async def test_sql_for_people_works(block, database_url):
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetch(block.text) == []
    finally:
        await connection.close()


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_commands_exist(page):
    import typer

    from callsheet.cli.app import app

    root = typer.main.get_command(app)
    for line in commands_in(page):
        words = shlex.split(line.partition(" > ")[0])
        if words[:1] == ["callsheet"]:
            assert_is_a_command(root, words[1:], line)


def assert_is_a_command(command, words, line):
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0].isupper():
            return  # it stands for any command
        assert words[0] in command.commands, f"`{line}`: there is no command '{words[0]}'"
        command, words = command.commands[words[0]], words[1:]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    for word in words:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in {*known, "-v", "--help", "--install-completion"}, (
                f"`{line}`: there is no option {word}"
            )


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_make_verbs_exist(page):
    verbs = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert {line.split()[1] for line in commands_in(page) if line.startswith("make ")} <= {*verbs}


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_addresses_of_the_api_exist(page, routes):
    for path in re.findall(r"127\.0\.0\.1:8500(/api/[^\s`'\"?]*)", page.read_text()):
        assert any(route.fullmatch(path) for route in routes), f"there is no {path}"


@pytest.mark.parametrize("page", PAGES, ids=by_page)
def test_variables_are_settings(page):
    known = {name.upper() for name in Settings.model_fields} | {"URL"}
    for provider in load_provider_classes().values():
        fields = provider.settings_class.model_fields
        known |= {provider.settings_class.variables(name)[0].removeprefix("CALLSHEET_") for name in fields}

    named = re.findall(r"CALLSHEET_([A-Z0-9_]+[A-Z0-9])", page.read_text())

    assert {name for name in named if name not in known and name.removesuffix("_FILE") not in known} == set()


def test_every_setting_says_what_it_is_for():
    classes = [Settings, *(provider.settings_class for provider in load_provider_classes().values())]
    fields = [field for each in classes for field in each.model_fields.items()]

    assert [name for name, field in fields if not field.description] == []


def test_every_event_of_a_status_is_documented():
    page = EVENTS.read_text()
    reached = {*JobStatus} - {JobStatus.WAITING}

    expected = [f"`job.{status}`" for status in reached] + [f"`execution.{status}`" for status in ExecutionStatus]

    assert [event for event in expected if event not in page] == []
