"""Environment variables that a setting is read from."""

from collections.abc import Mapping

from pydantic import AliasChoices

ALIASES: Mapping[str, str] = {
    # Names of the systems that Callsheet replaces.
    "DATABASE_URL": "database_url",
    "TEMP_DIR": "work_dir",
    "RENDER_DIR": "render_dir",
    "PREVIEW_DIR": "preview_dir",
    "CLEANUP_AGE_DAYS": "temp_max_age",
    "MAX_TEMP_SIZE_GB": "temp_max_bytes",
    "BUCKET_NAME": "s3_bucket",
    "BUCKET_ENDPOINT_URL": "s3_endpoint",
    "S3_URL": "s3_endpoint",
    "S3_ACCESS_KEY": "s3_access_key",
    "BUCKET_ACCESS_KEY_ID": "s3_access_key",
    "S3_SECRET_KEY": "s3_secret_key",
    "BUCKET_SECRET_ACCESS_KEY": "s3_secret_key",
    "API_BASE_URL": "public_url",
    "WORKER_API_URL": "status_push_url",
    "RENDER_TIMEOUT": "render_timeout",
    "FFMPEG_PATH": "ffmpeg_path",
    "FFMPEG_ASPECT_RATIO": "ffmpeg_aspect_ratio",
    "FFMPEG_AUDIO_FILTER": "ffmpeg_audio_filter",
    "FFMPEG_VIDEO_PRESET": "ffmpeg_video_preset",
    "COMFYUI_API_URL": "comfyui_api_url",
    "COMFY_HOST": "comfyui_api_url",
    "COMFYUI_CLIENT_ID": "comfyui_client_id",
    "COMFYUI_TIMEOUT_MS": "comfyui_timeout",
    "COMFYUI_POLL_INTERVAL_MS": "comfyui_poll_interval",
    "COMFYUI_MAX_POLL_ATTEMPTS": "comfyui_prompt_timeout",
    "COMFYUI_VIDEO_WORKFLOW_JSON": "comfyui_video_workflow_json",
    "REDIS_URL": "redis_url",
    "REDIS_HOST": "redis_host",
    "REDIS_PORT": "redis_port",
    "GMANIMATO_API_URL": "polled_api_url",
    "WORKER_POLL_INTERVAL": "polled_api_interval",
    "WORKER_MAX_RETRIES": "polled_api_max_retries",
    "BULL_PREFIX": "bull_prefix",
    "WORKER_ALERT_WEBHOOK_URL": "alert_webhook_url",
    "ALERT_WEBHOOK_URL": "alert_webhook_url",
    "WORKER_ALERT_FAILURE_THRESHOLD": "alert_failure_threshold",
    "ALERT_FAILURE_THRESHOLD": "alert_failure_threshold",
    "WORKER_BULL_BOARD_USER": "console_user",
    "BULL_BOARD_USER": "console_user",
    "FLOWER_USER": "console_user",
    "WORKER_BULL_BOARD_PASSWORD": "console_password",
    "BULL_BOARD_PASSWORD": "console_password",
    "FLOWER_PASSWORD": "console_password",
    "WORKER_MONITOR_HOST": "monitor_host",
    "BULL_BOARD_HOST": "monitor_host",
    "WORKER_MONITOR_PORT": "monitor_port",
    "BULL_BOARD_PORT": "monitor_port",
    "WORKER_METRICS_PREFIX": "metrics_prefix",
    "HUBSPOT_CLIENT_SECRET": "hubspot_client_secret",
    "LORA_TRAINING_DRY_RUN": "lora_training_dry_run",
    # Further names without the prefix.
    "OTEL_EXPORTER_OTLP_ENDPOINT": "otlp_endpoint",
    "OTEL_EXPORTER_OTLP_HEADERS": "otlp_headers",
    "OTEL_SERVICE_NAME": "otel_service_name",
    "SENTRY_DSN": "sentry_dsn",
    "SENTRY_ENVIRONMENT": "sentry_environment",
    "AWS_REGION": "s3_region",
    "FFMPEG_MEMORY": "ffmpeg_memory",
    "FFMPEG_MAX_OUTPUT": "ffmpeg_max_output",
    "COMFYUI_PATH": "comfyui_path",
    "KOHYA_PATH": "kohya_path",
    "MUSUBI_PATH": "musubi_path",
    "F5_TTS_PATH": "f5_tts_path",
}
"""Variable → the setting that also reads it. Where one setting has several, the first one that is set counts."""

POLLS = " polls"
GIGABYTES = " GB"
_UNITS = {
    "cleanup_age_days": "d",
    "max_temp_size_gb": GIGABYTES,
    "comfyui_timeout_ms": "ms",
    "comfyui_poll_interval_ms": "ms",
    "comfyui_max_poll_attempts": POLLS,
}
"""Unit of aliases that are plain numbers of another unit than their setting."""


def with_units(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return variables, named in lower case, with the units of aliases appended to their values."""
    return {
        name: f"{value.strip()}{_UNITS[name]}" if value and name in _UNITS else value
        for name, value in variables.items()
    }


def product_api_variables(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return variables, named in lower case, with API_BASE_URL as the API of the product instead of this server."""
    renamed = dict(variables)
    if url := renamed.pop("api_base_url", None):
        renamed["worker_api_url"] = url
    return renamed


def aliases(name: str, *others: str) -> AliasChoices:
    """Return `CALLSHEET_<name>` and other variables, in the order in which they are read."""
    return AliasChoices(f"CALLSHEET_{name}", *others)


def aliases_of(field: str) -> AliasChoices:
    """Return the variables of a setting: `CALLSHEET_<NAME>` first, then those of `ALIASES`."""
    return aliases(field.upper(), *(name for name, setting in ALIASES.items() if setting == field))
