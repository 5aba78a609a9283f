"""Intakes: the queues that messages are taken from."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from callsheet.domain.durations import Duration
from callsheet.domain.text_form import TextForm


class IntakeSettings(BaseModel):
    """Intakes: the queues that messages are taken from."""

    intake_max_open: int = Field(
        10_000, ge=1, description="Number of messages that one intake process has open at the same time"
    )
    intake_lease: Duration = Field(
        timedelta(seconds=30),
        ge=timedelta(seconds=1),
        description="Time after which another process takes over the open messages of a killed intake process",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis of the intakes, such as `redis://:PASSWORD@host:6379/0`. Unset: REDIS_HOST and REDIS_PORT. "
        "If it is set, workers also publish the load of their machines there",
    )
    redis_host: str = Field("localhost", description="Host of Redis, if REDIS_URL is not set")
    redis_port: int = Field(6379, ge=1, le=65535, description="Port of Redis, if REDIS_URL is not set")
    streams_config_dir: Path | None = Field(
        None,
        description="Folder with `config.json` and `redis.bridge.json` of the intake "
        "`redis-streams`. Environment variables take precedence over `redis.bridge.json`, and that over `config.json`",
    )
    streams_idle: Duration = Field(
        timedelta(minutes=1),
        ge=timedelta(seconds=1),
        description="Time after which entries of a dead consumer of a stream are taken over",
    )
    celery_queues: str = Field(
        "render_queue,preview_queue,transcode_queue,caption_queue,hubspot-webhook-events,fatigue-monitoring,"
        "budget-optimization",
        description="Queues of Celery to serve, separated by commas. No other worker may serve them",
    )
    celery_tasks: str = Field(
        "",
        description="Further tasks of Celery, or other plans for the built-in ones, separated by commas: "
        "`name=mapping`, where the mapping is that of a built-in task (`render_video_task`), `plan`, "
        "`module:function`, or the path of a plan file",
    )
    celery_visibility_timeout: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(seconds=1),
        description="Time after which Redis delivers a message of Celery again that was not acknowledged. It is "
        "acknowledged as soon as its execution is stored. All workers of one Redis database need the same value",
    )
    polled_api_url: Annotated[
        str, TextForm(r"^https?://[^\s/?#]+[^\s?#]*$", "a URL that starts with http:// or https://")
    ] = Field("http://localhost:5173", description="URL of the API that the intake `polled-api` asks for tasks")
    polled_api_key: SecretStr | None = Field(
        None, description="Key of that API, sent as `Authorization: Bearer …`; unset: none"
    )
    polled_api_interval: Duration = Field(
        timedelta(seconds=5), gt=timedelta(0), description="Time between two polls while the API has no task"
    )
    polled_api_max_retries: int = Field(
        3,
        ge=1,
        description="Number of times that a result is sent to a callback URL that refuses it. A callback URL "
        "that does not respond is waited for",
    )
    polled_api_tasks: int = Field(
        1, ge=1, description="Number of tasks that one process of `polled-api` has at the same time"
    )
    polled_api_mapping: str = Field(
        "image-to-video",
        description="How a task becomes a plan: `image-to-video`, `plan` (the field `plan` of the task), "
        "`module:function`, or the path of a plan file",
    )
    bull_prefix: str = Field("bull", description="Prefix of the Redis keys of BullMQ")
    bullmq_queues: str = Field(
        "content-generation,video-generation,lora-training",
        description="Queues of BullMQ to serve, separated by commas. `name=mapping` sets how the data of a job becomes "
        "a plan: the name of a built-in mapping (`video-generation`, `lora-training`, `plan`), `module:function`, or "
        "the path of a plan file. Without it, the built-in mapping of the same name",
    )
    bullmq_lock_duration: Duration = Field(
        timedelta(minutes=1),
        ge=timedelta(seconds=1),
        description="Time after which BullMQ takes the jobs of a killed intake back",
    )
