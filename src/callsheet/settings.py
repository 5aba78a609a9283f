"""Every setting, once.

A setting is read from `CALLSHEET_<NAME>`, from one of its aliases (names that systems before this one used), or
from a file `.env` in the working folder. A secret can also be given as the path of a file, in `CALLSHEET_<NAME>_FILE`.
"""

import os
import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from callsheet.domain.durations import Duration

_LANES = {
    "render": 2,
    "transcode": 2,
    "caption": 1,
    "preview": 4,
    "generate": 16,
    "comfyui": 4,
    "gpu": 1,
    "train": 1,
    "default": 8,
}


def _aliases(name: str, *others: str) -> AliasChoices:
    return AliasChoices(f"CALLSHEET_{name}", name.lower(), *others)


class Settings(BaseSettings):
    """How this installation is set up. Durations are seconds, or texts such as `15m`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    # Where things are
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("callsheet"),
        validation_alias=_aliases("DATA_DIR"),
        description="Embedded database, local files, and the signing key live under this folder",
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias=_aliases("DATABASE_URL", "DATABASE_URL"),
        description="PostgreSQL to use; unset: an embedded PostgreSQL 18 in the data folder",
    )
    work_dir: Path | None = Field(
        None,
        validation_alias=_aliases("WORK_DIR", "TEMP_DIR"),
        description="Scratch space of running jobs; unset: `work` in the data folder",
    )

    # Files
    s3_bucket: str | None = Field(
        None,
        validation_alias=_aliases("S3_BUCKET", "BUCKET_NAME"),
        description="Bucket for artifacts; unset: local files in the data folder",
    )
    s3_endpoint: str | None = Field(
        None,
        validation_alias=_aliases("S3_ENDPOINT", "BUCKET_ENDPOINT_URL", "S3_URL"),
        description="Address of an S3-compatible server (R2, MinIO…); unset: AWS",
    )
    s3_region: str = Field(
        "auto", validation_alias=_aliases("S3_REGION", "AWS_REGION"), description="Region of the bucket"
    )
    s3_access_key: SecretStr | None = Field(
        None,
        validation_alias=_aliases("S3_ACCESS_KEY", "S3_ACCESS_KEY", "BUCKET_ACCESS_KEY_ID"),
        description="Id of the key that opens the bucket",
    )
    s3_secret_key: SecretStr | None = Field(
        None,
        validation_alias=_aliases("S3_SECRET_KEY", "S3_SECRET_KEY", "BUCKET_SECRET_ACCESS_KEY"),
        description="The key that opens the bucket",
    )
    s3_prefix: str = Field("", validation_alias=_aliases("S3_PREFIX"), description="Folder inside the bucket")
    signed_url_ttl: Duration = Field(
        timedelta(minutes=15), validation_alias=_aliases("SIGNED_URL_TTL"), description="Of signed URLs"
    )
    cache_max_age: Duration = Field(
        timedelta(days=7),
        validation_alias=_aliases("CACHE_MAX_AGE"),
        description="How long finished pieces of films are kept in the storage for later renders; 0: not at all",
    )
    signing_key: SecretStr | None = Field(
        None,
        validation_alias=_aliases("SIGNING_KEY"),
        description="Signs URLs of local files and outgoing webhooks; unset: made once, kept in the data folder. "
        "Servers that share a database must share it",
    )

    # Media sources
    source_roots: Annotated[list[Path], NoDecode] = Field(
        default_factory=list,
        validation_alias=_aliases("SOURCE_ROOTS"),
        description="Folders whose files may be named as local paths, separated by ':'. Empty: none",
    )
    allow_http: bool = Field(False, validation_alias=_aliases("ALLOW_HTTP"), description="Fetch `http://` sources too")
    allow_private_addresses: bool = Field(
        False,
        validation_alias=_aliases("ALLOW_PRIVATE_ADDRESSES"),
        description="Fetch from, and call back to, loopback and private networks",
    )
    source_max_bytes: int = Field(
        20 * 2**30, ge=1, validation_alias=_aliases("SOURCE_MAX_BYTES"), description="Largest source that is fetched"
    )
    source_timeout: Duration = Field(
        timedelta(minutes=30),
        validation_alias=_aliases("SOURCE_TIMEOUT"),
        description="For one whole download",
    )

    # API
    host: str = Field("127.0.0.1", validation_alias=_aliases("HOST"), description="Address to listen at")
    port: int = Field(
        8500, ge=0, le=65535, validation_alias=_aliases("PORT"), description="Port to listen at; 0 takes a free one"
    )
    api_key: SecretStr | None = Field(
        None,
        validation_alias=_aliases("API_KEY"),
        min_length=16,
        description="Clients send it as `Authorization: Bearer …`; needed to listen beyond loopback",
    )
    public_url: str | None = Field(
        None,
        validation_alias=_aliases("PUBLIC_URL", "API_BASE_URL"),
        description="How others reach this server; used in links",
    )
    max_body_bytes: int = Field(
        16 * 2**20, ge=1024, validation_alias=_aliases("MAX_BODY_BYTES"), description="Largest request that is read"
    )
    max_jobs_per_plan: int = Field(
        10_000, ge=1, validation_alias=_aliases("MAX_JOBS_PER_PLAN"), description="A plan with more jobs is refused"
    )

    # Workers
    worker_name: str = Field("%h-%p", validation_alias=_aliases("WORKER_NAME"), description="%h: host, %p: process id")
    lanes: Annotated[dict[str, int], NoDecode] = Field(
        default_factory=lambda: dict(_LANES),
        validation_alias=_aliases("LANES"),
        description="How many jobs of each queue a worker runs at once: `render=2,preview=4`",
    )
    heartbeat_interval: Duration = Field(
        timedelta(seconds=3),
        validation_alias=_aliases("HEARTBEAT_INTERVAL"),
        description="How often a worker says that it lives",
    )
    worker_timeout: Duration = Field(
        timedelta(seconds=12),
        validation_alias=_aliases("WORKER_TIMEOUT"),
        description="A worker silent for this long is lost, and its jobs are rescued",
    )
    rescue_interval: Duration = Field(
        timedelta(seconds=2),
        validation_alias=_aliases("RESCUE_INTERVAL"),
        description="How often a worker looks for lost workers and their jobs",
    )
    poll_interval: Duration = Field(
        timedelta(seconds=5),
        validation_alias=_aliases("POLL_INTERVAL"),
        description="How often a worker looks for work that no wake-up told it of",
    )
    schedule_interval: Duration = Field(
        timedelta(seconds=0.5),
        validation_alias=_aliases("SCHEDULE_INTERVAL"),
        description="How often a worker looks for scheduled jobs whose time has come",
    )
    grace_period: Duration = Field(
        timedelta(seconds=20),
        validation_alias=_aliases("GRACE_PERIOD"),
        description="How long a stopping worker lets its jobs go on before it hands them back",
    )
    crash_limit: int = Field(
        3,
        ge=1,
        validation_alias=_aliases("CRASH_LIMIT"),
        description="Starts of a job that end with its worker, before the job fails as `crash_loop`",
    )
    retry_base: Duration = Field(
        timedelta(seconds=5),
        validation_alias=_aliases("RETRY_BASE"),
        description="Back-off after a passing failure: a random time up to this, doubled with every attempt",
    )
    retry_cap: Duration = Field(
        timedelta(minutes=10), validation_alias=_aliases("RETRY_CAP"), description="Longest back-off"
    )
    database_pool_size: int = Field(
        8, ge=2, validation_alias=_aliases("DATABASE_POOL_SIZE"), description="Database connections a process"
    )

    # FFmpeg
    ffmpeg_path: Path | None = Field(
        None,
        validation_alias=_aliases("FFMPEG_PATH", "FFMPEG_PATH"),
        description="Unset: `ffmpeg` on the PATH, else the one that comes with Callsheet",
    )
    ffmpeg_aspect_ratio: str = Field(
        "9:16",
        pattern=r"^[1-9]\d{0,3}:[1-9]\d{0,3}$",
        validation_alias=_aliases("FFMPEG_ASPECT_RATIO", "FFMPEG_ASPECT_RATIO"),
        description="Of films that name none",
    )
    ffmpeg_audio_filter: str = Field(
        "loudnorm=I=-16:TP=-1.5:LRA=11",
        validation_alias=_aliases("FFMPEG_AUDIO_FILTER", "FFMPEG_AUDIO_FILTER"),
        description="A `loudnorm=…` is read as targets and reached by measuring; another filter is used as given",
    )
    ffmpeg_video_preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
    ] = Field(
        "medium",
        validation_alias=_aliases("FFMPEG_VIDEO_PRESET", "FFMPEG_VIDEO_PRESET"),
        description="x264's, for films that name none",
    )
    ffmpeg_memory: int | None = Field(
        None,
        ge=64 * 2**20,
        validation_alias=_aliases("FFMPEG_MEMORY", "FFMPEG_MEMORY"),
        description="Bytes of memory that one FFmpeg may really use; unset: three quarters of the machine's",
    )
    ffmpeg_max_output: int = Field(
        64 * 2**30,
        ge=2**20,
        validation_alias=_aliases("FFMPEG_MAX_OUTPUT", "FFMPEG_MAX_OUTPUT"),
        description="Bytes of the largest file that FFmpeg may write",
    )
    media_max_duration: Duration = Field(
        timedelta(hours=6),
        validation_alias=_aliases("MEDIA_MAX_DURATION"),
        description="Longest media file that is worked on",
    )
    media_max_pixels: int = Field(
        100_000_000,
        ge=1,
        le=100_000_000,
        validation_alias=_aliases("MEDIA_MAX_PIXELS"),
        description="Largest picture that is worked on, width times height",
    )
    media_max_streams: int = Field(
        100,
        ge=1,
        le=1000,
        validation_alias=_aliases("MEDIA_MAX_STREAMS"),
        description="Most tracks of a media file that is worked on",
    )

    # Speech
    speech_models: Path | None = Field(
        None,
        validation_alias=_aliases("SPEECH_MODELS"),
        description="Folder with a subfolder for each speech model, named like it, in CTranslate2's format. "
        "Models that are not there are downloaded when first used",
    )
    speech_device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", validation_alias=_aliases("SPEECH_DEVICE"), description="Where speech models run: `auto`, `cpu`, `cuda`"
    )
    caption_model: str = Field(
        "base",
        min_length=1,
        validation_alias=_aliases("CAPTION_MODEL"),
        description="Speech model of `caption` jobs that name none: a name such as `small`, or a folder",
    )

    # Providers
    models_file: Path | None = Field(
        None,
        validation_alias=_aliases("MODELS_FILE"),
        description="A YAML file of models of one's own, which go before those that come with Callsheet",
    )
    local_queue_limit: int = Field(
        4,
        ge=0,
        validation_alias=_aliases("LOCAL_QUEUE_LIMIT"),
        description="Jobs that wait for our own ComfyUI servers, from which on models that others offer, too, are "
        "ordered there",
    )
    provider_concurrency: int = Field(
        8, ge=1, validation_alias=_aliases("PROVIDER_CONCURRENCY"), description="Requests to one provider at a time"
    )
    provider_poll_initial: Duration = Field(
        timedelta(seconds=5),
        validation_alias=_aliases("PROVIDER_POLL_INITIAL"),
        description="How long after an order a provider is first asked how it stands; each pause is half longer",
    )
    provider_poll_max: Duration = Field(
        timedelta(minutes=1),
        validation_alias=_aliases("PROVIDER_POLL_MAX"),
        description="Longest pause between two of these questions",
    )
    provider_deadline: Duration = Field(
        timedelta(hours=24),
        validation_alias=_aliases("PROVIDER_DEADLINE"),
        description="How long a provider may take; then it is asked to stop, and the job fails",
    )

    # Waiting for providers
    provider_poll_interval: Duration = Field(
        timedelta(seconds=1),
        validation_alias=_aliases("PROVIDER_POLL_INTERVAL"),
        description="How often a worker looks which waiting jobs are to be asked about",
    )
    submission_recovery_timeout: Duration = Field(
        timedelta(minutes=10),
        validation_alias=_aliases("SUBMISSION_RECOVERY_TIMEOUT"),
        description="How long a job waits to learn whether an order without an answer was taken, before it fails as "
        "`submission_unknown`",
    )
    webhook_max_bytes: int = Field(
        2**20,
        ge=1024,
        validation_alias=_aliases("WEBHOOK_MAX_BYTES"),
        description="Largest webhook of a provider that is read",
    )

    # ComfyUI
    comfyui_api_url: str | None = Field(
        None,
        validation_alias=_aliases("COMFYUI_API_URL", "COMFYUI_API_URL", "COMFY_HOST"),
        description="ComfyUI servers, separated by commas; what a server is like may follow its address: "
        "`http://gpu1:8188#capacity=2&tags=wan+flux`. Unset: `http://127.0.0.1:8188`, or none but our own where "
        "COMFYUI_PATH is set",
    )
    comfyui_client_id: str = Field(
        "callsheet",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        validation_alias=_aliases("COMFYUI_CLIENT_ID", "COMFYUI_CLIENT_ID"),
        description="How client ids begin that we give to ComfyUI; each connection has one of its own",
    )
    comfyui_timeout_ms: int = Field(
        120_000,
        ge=1,
        validation_alias=_aliases("COMFYUI_TIMEOUT_MS", "COMFYUI_TIMEOUT_MS"),
        description="Milliseconds that an answer of ComfyUI may take",
    )
    comfyui_poll_interval_ms: int = Field(
        5_000,
        ge=1,
        validation_alias=_aliases("COMFYUI_POLL_INTERVAL_MS", "COMFYUI_POLL_INTERVAL_MS"),
        description="Milliseconds after which ComfyUI is asked how a prompt stands when its websocket tells nothing",
    )
    comfyui_max_poll_attempts: int | None = Field(
        None,
        ge=1,
        validation_alias=_aliases("COMFYUI_MAX_POLL_ATTEMPTS", "COMFYUI_MAX_POLL_ATTEMPTS"),
        description="Times the poll interval is how long a prompt may take; unset: as long as the job may",
    )
    comfyui_workflows: Path | None = Field(
        None,
        validation_alias=_aliases("COMFYUI_WORKFLOWS"),
        description="Folder with stored ComfyUI workflows: `<name>.json`, and `<name>.inputs.yaml` beside it",
    )
    comfyui_video_workflow_json: str | None = Field(
        None,
        validation_alias=_aliases("COMFYUI_VIDEO_WORKFLOW_JSON", "COMFYUI_VIDEO_WORKFLOW_JSON"),
        description="Graph in API format, as JSON or the path of a file, for ComfyUI jobs that name no workflow; "
        "a job's own nodes are merged into it, field by field",
    )
    comfyui_path: Path | None = Field(
        None,
        validation_alias=_aliases("COMFYUI_PATH", "COMFYUI_PATH"),
        description="Folder with ComfyUI's own code; a worker then runs it itself when a job needs it",
    )
    comfyui_python: Path | None = Field(
        None,
        validation_alias=_aliases("COMFYUI_PYTHON"),
        description="The Python that has what ComfyUI needs; unset: that of `.venv` or `venv` in its folder, "
        "else `python3` on the PATH",
    )
    comfyui_base_dir: Path | None = Field(
        None,
        validation_alias=_aliases("COMFYUI_BASE_DIR"),
        description="Folder with the models, custom nodes and files of our own ComfyUI; unset: `comfyui` in the "
        "data folder",
    )
    comfyui_args: str = Field(
        "", validation_alias=_aliases("COMFYUI_ARGS"), description="Further flags for our own ComfyUI: `--lowvram`"
    )
    comfyui_start_timeout: Duration = Field(
        timedelta(minutes=5),
        validation_alias=_aliases("COMFYUI_START_TIMEOUT"),
        description="How long our own ComfyUI may take to answer after its start",
    )
    comfyui_free_after: Duration = Field(
        timedelta(minutes=2),
        validation_alias=_aliases("COMFYUI_FREE_AFTER"),
        description="Our own ComfyUI unloads its models when it had no job for this long",
    )
    comfyui_stop_after: Duration = Field(
        timedelta(minutes=15),
        validation_alias=_aliases("COMFYUI_STOP_AFTER"),
        description="Our own ComfyUI is stopped when it had no job for this long",
    )

    # Webhooks out
    webhook_timeout: Duration = Field(
        timedelta(seconds=15), validation_alias=_aliases("WEBHOOK_TIMEOUT"), description="For one delivery"
    )
    webhook_attempts: int = Field(
        10,
        ge=1,
        validation_alias=_aliases("WEBHOOK_ATTEMPTS"),
        description="Deliveries that fail before it is given up",
    )

    # Logs
    log_level: str = Field(
        "info",
        pattern=r"^(debug|info|warning|error)$",
        validation_alias=_aliases("LOG_LEVEL"),
        description="`debug`, `info`, `warning` or `error`",
    )
    log_json: bool = Field(False, validation_alias=_aliases("LOG_JSON"), description="One JSON object a line")

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in (name for name, field in cls.model_fields.items() if _is_secret(field.annotation)):
            path = os.environ.get(f"CALLSHEET_{name.upper()}_FILE")
            if path and name not in values and f"CALLSHEET_{name.upper()}" not in values:
                values[name] = Path(path).read_text().strip()
        return values

    @field_validator("source_roots", mode="before")
    @classmethod
    def _split_roots(cls, value: Any) -> Any:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("lanes", mode="before")
    @classmethod
    def _split_lanes(cls, value: Any) -> Any:
        return parse_lanes(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _worker_timing_holds(self) -> "Settings":
        if self.worker_timeout < 2 * self.heartbeat_interval:
            raise ValueError("WORKER_TIMEOUT must be at least twice HEARTBEAT_INTERVAL, or live workers look lost")
        return self

    @cached_property
    def scratch_dir(self) -> Path:
        """Where running jobs keep their working files."""
        # Absolute, since FFmpeg runs inside of it.
        return (self.work_dir or self.data_dir / "work").absolute()

    @property
    def files_dir(self) -> Path:
        """Where artifacts lie when no bucket is set."""
        return self.data_dir / "files"


def _is_secret(kind: object) -> bool:
    return kind is SecretStr or SecretStr in get_args(kind)


def parse_lanes(text: str) -> dict[str, int]:
    """Read `render=2,preview=4`; raises ValueError naming the part that does not fit."""
    lanes: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        queue, _, number = part.partition("=")
        if not queue or not re.fullmatch("[0-9]{1,6}", number.strip()) or int(number) < 1:
            raise ValueError(f"'{part}' is not of the form queue=number, as in render=2")
        lanes[queue.strip()] = int(number)
    return lanes
