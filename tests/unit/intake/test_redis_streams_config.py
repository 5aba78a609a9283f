"""The layers of configuration of the intake `redis-streams`, and the shipped JSON Schemas."""

import json
from importlib.resources import files

import jsonschema
import pytest
from typer.testing import CliRunner

from callsheet.cli.app import app
from callsheet.domain.errors import ConfigurationError
from callsheet.intake.redis_streams.capabilities import capability_manifest
from callsheet.intake.redis_streams.config import load_configuration, redis_options
from callsheet.intake.redis_streams.messages import MESSAGES
from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings


def configured(folder, config=None, bridge=None, **settings):
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if bridge is not None:
        (folder / "redis.bridge.json").write_text(json.dumps(bridge))
    return Settings(_env_file=None, streams_config_dir=folder, **settings)


def test_without_files_the_names_are_those_of_the_seed(tmp_path):
    config = load_configuration(configured(tmp_path))
    assert (config.streams.data, config.streams.control) == ("process:data", "process:control")
    assert config.channels.progress == "channel:progress:{jobId}"


def test_the_bridge_file_takes_precedence_over_the_configuration_file(tmp_path):
    config = load_configuration(
        configured(tmp_path, {"group": "a", "streams": {"data": "d", "control": "c"}}, {"streams": {"data": "d2"}})
    )
    assert (config.group, config.streams.data, config.streams.control) == ("a", "d2", "c")


def test_the_environment_takes_precedence_over_the_files(tmp_path):
    settings = configured(tmp_path, bridge={"host": "files", "port": 1})
    config = load_configuration(settings)
    assert redis_options(settings, config)["host"] == "files"
    assert redis_options(settings.model_copy(update={"redis_host": "env"}), config)["host"] == "env"


def test_all_problems_of_the_files_are_listed(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(configured(tmp_path, {"expiry": 0, "port": 0}))
    assert "expiry" in caught.value.message and "port" in caught.value.message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_the_shipped_schema_is_that_of_the_model(message):
    shipped = files("callsheet.intake.redis_streams").joinpath("schemas", f"{message.__name__}.json").read_text()
    assert json.loads(shipped) == message.model_json_schema()


def test_the_printed_capabilities_match_the_shipped_schema():
    schema = json.loads(
        (files("callsheet.intake.redis_streams") / "schemas" / "PlaneCapabilityManifest.json").read_text()
    )

    printed = CliRunner().invoke(app, ["intakes", "capabilities"])

    manifest = json.loads(printed.stdout)
    jsonschema.Draft202012Validator(schema).validate(manifest)
    tasks = {task["name"]: task for task in manifest["tasks"]}
    assert "scenes" in tasks["render"]["paramsSchema"]["properties"]
    assert manifest == capability_manifest(discover()).model_dump(by_alias=True)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": "1", "tasks": [{"name": "render"}]}, schema)
