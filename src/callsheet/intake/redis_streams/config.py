"""Settings of the streams, in layers: `config.json`, then `redis.bridge.json`, then the environment."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.json_text import read_json
from callsheet.domain.validation_problems import validation_problems
from callsheet.intake.redis_connection import connection_options
from callsheet.settings import Settings

_LAYERS = ("config.json", "redis.bridge.json")


class Streams(BaseModel):
    """Names of streams."""

    model_config = ConfigDict(extra="allow")
    data: str = "process:data"
    control: str = "process:control"
    dead: str = "process:data:dead"


class Channels(BaseModel):
    """Names of channels; `{jobId}` is replaced."""

    model_config = ConfigDict(extra="allow")
    progress: str = "channel:progress:{jobId}"
    status: str = "channel:status:{jobId}"
    data: str = "channel:data:{jobId}"


class WorkerConfiguration(BaseModel):
    """The contents of the configuration files."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    url: str | None = Field(None, repr=False)
    host: str | None = None
    port: int | None = Field(None, ge=1, le=65535)
    group: str = "python-workers"
    streams: Streams = Field(default_factory=Streams)
    channels: Channels = Field(default_factory=Channels)
    job_key: str = Field("job:{jobId}", alias="jobKey")
    expiry: int = Field(86_400, ge=1, description="Seconds for which the last update of each kind is kept")
    field: str = Field("payload", description="Field of an entry that holds the graph as JSON")


def load_configuration(settings: Settings) -> WorkerConfiguration:
    """Return the configuration of a folder. Raises ConfigurationError with every problem."""
    merged: dict[str, Any] = {}
    for name in _LAYERS:
        if settings.streams_config_dir is not None:
            merged = _merged(merged, _read(settings.streams_config_dir / name))
    try:
        return WorkerConfiguration.model_validate(merged)
    except ValidationError as error:
        problems = [repr(problem) for problem in validation_problems(error, WorkerConfiguration)]
        raise ConfigurationError("\n  ".join(["redis.bridge.json or config.json is invalid:", *problems])) from None


def redis_options(settings: Settings, configuration: WorkerConfiguration) -> dict[str, Any]:
    """Return the options of the Redis client. What is set in the environment takes precedence."""
    if settings.model_fields_set & {"redis_url", "redis_host", "redis_port"}:
        return connection_options(settings)
    if configuration.url is not None:
        return connection_options(settings.model_copy(update={"redis_url": SecretStr(configuration.url)}))
    changes = {"redis_host": configuration.host, "redis_port": configuration.port}
    return connection_options(settings.model_copy(update={name: value for name, value in changes.items() if value}))


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except DocumentError as error:
        raise ConfigurationError(f"{path}: {error.located}") from None
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path} must be a JSON object")
    return data


def _merged(base: dict[str, Any], layer: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in layer.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _merged(result[name], value) if both else value
    return result
