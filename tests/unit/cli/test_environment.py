"""Variables of client commands, and variables without effect."""

from pathlib import Path

import pytest

from callsheet.cli.environment import UNUSED, ambiguous_api_base_url, unknown_variables, unused_variables
from callsheet.cli.errors import AmbiguousId
from callsheet.cli.execution_ids import find_execution_id
from callsheet.cli.operations import _example
from callsheet.cli.remote import connect
from callsheet.client.settings import ClientSettings, find_server
from callsheet.domain.errors import ConfigurationError, NotFound
from callsheet.domain.plan_validation import check_plan, read_plan
from callsheet.operation_api.catalog import discover
from callsheet.operation_api.manifest import describe
from callsheet.settings import Settings
from callsheet.settings.aliases import ALIASES


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_client_commands_read_the_key_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("0123456789abcdef\n")
    monkeypatch.setenv("CALLSHEET_API_KEY_FILE", str(tmp_path / "key"))

    assert find_server(None, None) == ("http://127.0.0.1:8500", "0123456789abcdef")
    assert find_server("http://box:1/", "given") == ("http://box:1/", "given")
    with connect("http://box:1/", "given") as client:
        assert client.url == "http://box:1"


def test_client_commands_read_a_file_env_and_variables_take_precedence(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("CALLSHEET_URL=http://box:1\nCALLSHEET_API_KEY=from-the-file\nOTHER=x\n")
    monkeypatch.setenv("CALLSHEET_URL", "http://box:2")

    settings = ClientSettings()

    assert settings.url == "http://box:2"
    assert settings.api_key is not None and settings.api_key.get_secret_value() == "from-the-file"


def test_an_unreadable_key_file_is_named(monkeypatch):
    monkeypatch.setenv("CALLSHEET_API_KEY_FILE", "/nowhere/key")
    with pytest.raises(ConfigurationError, match="/nowhere/key"):
        connect(None, None)


def test_unknown_variables_are_named_with_the_closest_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLSHEET_WORKER_TIMOUT", "3")
    monkeypatch.setenv("CALLSHEET_WORKER_TIMEOUT", "30")
    monkeypatch.setenv("CALLSHEET_SIGNING_KEY_FILE", "/key")
    monkeypatch.setenv("CALLSHEET_LUMA_API_KEY_FILE", "/key")
    (tmp_path / ".env").write_text("CALLSHEET_LUMA_API_KY=x\n")

    assert unknown_variables() == [
        "CALLSHEET_LUMA_API_KY is not a setting, did you mean 'CALLSHEET_LUMA_API_KEY'?",
        "CALLSHEET_WORKER_TIMOUT is not a setting, did you mean 'CALLSHEET_WORKER_TIMEOUT'?",
    ]


def test_known_variables_of_other_systems_say_what_to_use(monkeypatch):
    monkeypatch.setenv("ML_SERVICE_URL", "http://ml:8003")
    monkeypatch.setenv("TEMP_DIR", "/tmp")

    assert unused_variables() == [
        "ML_SERVICE_URL has no effect: models are used through providers and ComfyUI; see `callsheet models`",
    ]


def test_no_variable_that_a_setting_reads_is_said_to_have_no_effect():
    assert UNUSED.keys() & ALIASES.keys() == set()


class Executions:
    """A client with a list of executions."""

    def __init__(self, *ids):
        self.ids = ids

    def get(self, path, *, limit, idPrefix=""):
        found = [each for each in self.ids if each.startswith(idPrefix)]
        return {"executions": [{"executionId": each, "status": "running", "name": None} for each in found[:limit]]}


ONE, TWO = "019ab1f0-0000-7000-8000-000000000001", "019ab1f0-1111-7000-8000-000000000002"


def test_a_prefix_or_last_names_an_execution():
    client = Executions(TWO, ONE)

    assert find_execution_id(client, "last") == TWO
    assert find_execution_id(client, "019ab1f0-0") == ONE
    assert find_execution_id(client, ONE) == ONE


def test_an_ambiguous_or_unknown_id_is_explained():
    client = Executions(TWO, ONE)

    with pytest.raises(AmbiguousId) as error:
        find_execution_id(client, "019a")
    assert [ONE in str(error.value), TWO in str(error.value)] == [True, True]
    for wrong, message in [
        ("0bad", "starts with '0bad'"),
        ("019", "at least its first 4"),
        ("trailer", "executions list"),
    ]:
        with pytest.raises(NotFound, match=message):
            find_execution_id(client, wrong)
    with pytest.raises(NotFound, match="no executions yet"):
        find_execution_id(Executions(), "last")


@pytest.mark.parametrize("operation", discover().operations(), ids=lambda operation: operation.name)
def test_the_example_of_every_operation_is_a_valid_plan(operation):
    steps = Path(__file__).parents[3] / "examples" / "steps" / "steps.yaml"
    catalog = discover().with_settings(Settings(_env_file=None, steps_file=steps))

    plan = read_plan(_example(describe(operation)), catalog)

    assert len(check_plan(plan, catalog, max_jobs=1).plan.jobs) == 1


def test_an_api_base_url_that_can_mean_two_things_is_reported(monkeypatch):
    monkeypatch.setenv("API_BASE_URL", "http://localhost:3001")
    assert ambiguous_api_base_url() is None
    monkeypatch.setenv("BULL_PREFIX", "dev")
    assert "set CALLSHEET_API_BASE_URL_IS=product" in ambiguous_api_base_url()
    monkeypatch.setenv("CALLSHEET_API_BASE_URL_IS", "callsheet")
    assert ambiguous_api_base_url() is None


def test_a_setting_says_what_api_base_url_is(monkeypatch):
    monkeypatch.setenv("API_BASE_URL", "http://api:3001/")
    monkeypatch.setenv("WORKER_API_URL", "http://other:3001")
    settings = Settings(_env_file=None)
    assert (settings.public_url, settings.status_push_url) == ("http://api:3001/", "http://other:3001")
    monkeypatch.setenv("CALLSHEET_API_BASE_URL_IS", "product")
    settings = Settings(_env_file=None)
    assert (settings.public_url, settings.status_push_url) == (None, "http://api:3001")
