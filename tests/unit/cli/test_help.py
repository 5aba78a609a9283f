"""Help of the commands."""

import shlex

import pytest
import typer.main
from typer.testing import CliRunner

from callsheet.cli.app import app
from callsheet.cli.errors import EXIT_CODES
from callsheet.cli.examples import EXAMPLES, commands_of


def test_every_command_has_an_example():
    assert sorted(path for path, _ in commands_of(app)) == sorted(EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES)
def test_every_example_can_be_parsed_and_is_in_the_help(path):
    program, *words = shlex.split(EXAMPLES[path])
    assert program == "callsheet"

    command, context = typer.main.get_command(app), None
    while True:
        context = command.make_context(words[0] if words else "callsheet", words, parent=context)
        if not hasattr(command, "resolve_command"):
            break
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])

    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*path.split(), "--help"]).stdout
    assert EXAMPLES[path] in " ".join(shown.split())


def test_the_help_explains_every_exit_status():
    shown = " ".join(CliRunner(env={"COLUMNS": "500"}).invoke(app, ["--help"]).stdout.split())

    assert all(f"{code} {meaning}" in shown for code, meaning in EXIT_CODES.items())


def test_version_prints_the_version():
    assert CliRunner().invoke(app, ["--version"]).stdout == CliRunner().invoke(app, ["version"]).stdout != ""
