"""`callsheet models`."""

import json

import pytest
from typer.testing import CliRunner

from callsheet.cli.app import app

MODEL = "bytedance/seedance-1-pro"


@pytest.fixture
def callsheet(monkeypatch, tmp_path):
    """Run a command without any settings but those given; returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words, fails=False, **environment):
        result = CliRunner().invoke(app, words, env=environment)
        assert (result.exit_code != 0) is fails, result.output
        return result

    return run


def test_models_are_listed_with_who_is_set_up(callsheet):
    lines = callsheet("models", "list", REPLICATE_API_TOKEN="r8_secret").stdout.splitlines()

    [line] = [line for line in lines if line.startswith(MODEL)]
    assert lines[0].split()[:3] == ["MODEL", "MAKES", "READY"]
    assert "replicate $0.03 to $0.15 per second; fal $0.024 to $0.124 per second" in line
    [one] = [line for line in lines if line.startswith("runway/gen4_turbo")]
    [unknown] = [line for line in lines if line.startswith("videos/default")]
    assert "  $0.05 per second  " in one
    assert "  not known  " in unknown
    assert line.split()[1:4] == ["video", "replicate", "fal"]
    assert "r8_secret" not in "".join(lines)


def test_without_a_verb_they_are_listed_too(callsheet):
    assert callsheet("models").stdout == callsheet("models", "list").stdout


def test_one_is_shown_with_what_is_missing_and_what_it_takes(callsheet):
    shown = callsheet("models", "show", MODEL).stdout

    assert (
        "replicate, as bytedance/seedance-1-pro: provider 'replicate' needs CALLSHEET_REPLICATE_API_TOKEN or "
        "REPLICATE_API_TOKEN" in shown
    )
    assert "Price: $0.03 at 480p, $0.06 at 720p, $0.15 at 1080p per second (2026-10-06)" in shown
    assert "Read at: https://replicate.com/bytedance/seedance-1-pro" in shown
    assert "from 2 up to 12" in shown
    assert "480p, 720p, 1080p" in shown


def test_programs_get_json(callsheet):
    listed = json.loads(callsheet("models", "list", "--json").stdout)
    one = json.loads(callsheet("models", "show", MODEL, "--json").stdout)

    assert one in listed
    assert (
        one["offers"][0]["whyNot"] == "provider 'replicate' needs CALLSHEET_REPLICATE_API_TOKEN or REPLICATE_API_TOKEN"
    )


def test_an_unknown_model_suggests_the_nearest(callsheet):
    result = callsheet("models", "show", "bytedance/seedance", fails=True)

    assert f"did you mean '{MODEL}'?" in str(result.exception) + result.output
