"""Settings, and the variables that they are read from."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from callsheet.operation_api.catalog import discover
from callsheet.settings import Settings, parse_lanes
from callsheet.settings.aliases import ALIASES


def settings(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def unwrapped(value):
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("CALLSHEET_DATABASE_URL", "database_url", "postgresql://a"),
        ("DATABASE_URL", "database_url", "postgresql://b"),
        ("TEMP_DIR", "work_dir", "/scratch"),
        ("BUCKET_NAME", "s3_bucket", "videos"),
        ("BUCKET_ENDPOINT_URL", "s3_endpoint", "https://videos.r2.example.com"),
        ("S3_URL", "s3_endpoint", "https://videos.minio.example.com"),
        ("AWS_REGION", "s3_region", "eu-west-1"),
        ("S3_ACCESS_KEY", "s3_access_key", "k1"),
        ("BUCKET_ACCESS_KEY_ID", "s3_access_key", "k2"),
        ("S3_SECRET_KEY", "s3_secret_key", "s1"),
        ("BUCKET_SECRET_ACCESS_KEY", "s3_secret_key", "s2"),
        ("API_BASE_URL", "public_url", "https://videos.example"),
        ("FFMPEG_PATH", "ffmpeg_path", "/opt/ffmpeg"),
        ("FFMPEG_ASPECT_RATIO", "ffmpeg_aspect_ratio", "16:9"),
        ("FFMPEG_AUDIO_FILTER", "ffmpeg_audio_filter", "loudnorm=I=-14"),
        ("FFMPEG_VIDEO_PRESET", "ffmpeg_video_preset", "fast"),
    ],
)
def test_a_setting_is_read_from_its_own_variable_and_from_its_aliases(monkeypatch, variable, field, value):
    read = unwrapped(getattr(settings(monkeypatch, **{variable: value}), field))

    assert str(read) == value


def test_every_alias_names_a_setting():
    assert set(ALIASES.values()) <= set(Settings.model_fields)


@pytest.mark.parametrize("variable", ["PORT", "HOST", "LOG_LEVEL", "WORKER_NAME"])
def test_a_name_without_the_prefix_is_not_read_unless_it_is_an_alias(monkeypatch, variable):
    default = getattr(settings(monkeypatch), variable.lower())

    assert getattr(settings(monkeypatch, **{variable: "1"}), variable.lower()) == default


def test_an_argument_takes_precedence_over_every_variable(monkeypatch):
    monkeypatch.setenv("BUCKET_NAME", "alias")
    monkeypatch.setenv("CALLSHEET_S3_BUCKET", "variable")

    assert Settings(_env_file=None, s3_bucket="argument").s3_bucket == "argument"


def test_the_prefixed_variable_takes_precedence_over_aliases(monkeypatch):
    assert settings(monkeypatch, CALLSHEET_S3_BUCKET="variable", BUCKET_NAME="alias").s3_bucket == "variable"


@pytest.mark.parametrize("name", ["DATABASE_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY", "SIGNING_KEY", "API_KEY"])
def test_a_secret_is_read_from_a_file(monkeypatch, tmp_path, name):
    (tmp_path / "secret").write_text("a secret of some length\n")

    read = settings(monkeypatch, **{f"CALLSHEET_{name}_FILE": str(tmp_path / "secret")})

    assert unwrapped(getattr(read, name.lower())) == "a secret of some length"
    assert "a secret" not in repr(read)


@pytest.mark.parametrize("variable", ["CALLSHEET_DATABASE_URL", "DATABASE_URL"])
def test_a_secret_in_a_variable_takes_precedence_over_its_file(monkeypatch, tmp_path, variable):
    (tmp_path / "secret").write_text("postgresql://file")

    read = settings(
        monkeypatch,
        **{variable: "postgresql://variable", "CALLSHEET_DATABASE_URL_FILE": str(tmp_path / "secret")},
    )

    assert unwrapped(read.database_url) == "postgresql://variable"


def test_a_missing_secret_file_is_an_error_that_names_it(monkeypatch, tmp_path):
    with pytest.raises((ValidationError, OSError), match="nowhere"):
        settings(monkeypatch, CALLSHEET_API_KEY_FILE=str(tmp_path / "nowhere"))


def test_all_invalid_settings_are_reported_at_once_without_their_values(monkeypatch):
    with pytest.raises(ValidationError) as invalid:
        settings(
            monkeypatch,
            CALLSHEET_PORT="99999",
            CALLSHEET_API_KEY="short-secret",
            CALLSHEET_LANES="render=many",
            CALLSHEET_GRACE_PERIOD="soon",
        )

    assert invalid.value.error_count() == 4
    assert "short-secret" not in str(invalid.value)


def test_a_worker_timeout_below_two_heartbeats_is_rejected(monkeypatch):
    with pytest.raises(ValidationError, match="at least twice HEARTBEAT_INTERVAL"):
        settings(monkeypatch, CALLSHEET_HEARTBEAT_INTERVAL="10s", CALLSHEET_WORKER_TIMEOUT="15s")


def test_durations_and_folders_are_parsed(monkeypatch):
    read = settings(monkeypatch, CALLSHEET_GRACE_PERIOD="2m", CALLSHEET_SOURCE_ROOTS="/a:/b")

    assert read.grace_period == timedelta(minutes=2)
    assert read.source_roots == [Path("/a"), Path("/b")]


def test_lanes_are_parsed():
    assert parse_lanes("render=2, preview = 4,") == {"render": 2, "preview": 4}


def test_lanes_may_use_the_queue_names_of_the_replaced_systems():
    assert parse_lanes("render_queue=3,preview=1") == {"render": 3, "preview": 1}
    assert Settings(_env_file=None, lanes={"caption_queue": 2}).lanes == {"caption": 2}


def test_the_time_limit_of_renders_is_a_setting(monkeypatch):
    found = settings(monkeypatch, RENDER_TIMEOUT="90")
    catalog = discover().with_settings(found)

    assert {name: catalog[name].timeout.total_seconds() for name in ("render", "render-segments", "transcode")} == {
        "render": 90,
        "render-segments": 90,
        "transcode": 1800,
    }
    with pytest.raises(ValidationError):
        settings(monkeypatch, RENDER_TIMEOUT="0")


@pytest.mark.parametrize(
    "text", ["render", "render=", "=2", "render=0", "render=-1", "render=x", "a=1;b=2", "render=²"]
)
def test_invalid_lanes_are_quoted_in_the_error(text):
    with pytest.raises(ValueError, match="queue=number"):
        parse_lanes(text)


@pytest.mark.parametrize(
    ("url", "given", "bucket", "endpoint"),
    [
        ("https://your-bucket.r2.cloudflarestorage.com", None, "your-bucket", None),
        ("https://your-bucket.r2.cloudflarestorage.com/", "your-bucket", "your-bucket", None),
        ("https://films.s3.eu-west-1.amazonaws.com", None, "films", None),
        ("http://minio:9000/films", None, "films", "http://minio:9000"),
        ("http://minio:9000/films/", "films", "films", "http://minio:9000"),
        ("http://minio:9000", "films", "films", None),
        ("https://example.com/gateway", "films", "films", "https://example.com/gateway"),
    ],
)
def test_the_url_of_the_storage_may_contain_the_bucket(monkeypatch, url, given, bucket, endpoint):
    variables = {"S3_URL": url} | ({"BUCKET_NAME": given} if given else {})

    found = settings(monkeypatch, **variables)

    assert (found.s3_bucket, found.s3_endpoint) == (bucket, endpoint or url.rstrip("/"))


@pytest.mark.parametrize(
    "url",
    ["http://minio:9000", "https://s3.example.com", "https://10.0.0.7:9000", "https://s3.eu-west-1.amazonaws.com"],
)
def test_a_url_without_a_bucket_needs_the_name_of_the_bucket(monkeypatch, url):
    with pytest.raises(ValidationError, match=r"the URL of the server contains no bucket\. Set CALLSHEET_S3_BUCKET"):
        settings(monkeypatch, S3_URL=url)


def test_the_scratch_space_in_a_shared_folder_is_that_of_the_user_and_the_data_folder(monkeypatch, tmp_path):
    shared = {"TEMP_DIR": str(tmp_path), "RENDER_DIR": "/mnt/renders"}
    one = settings(monkeypatch, CALLSHEET_DATA_DIR="/data/one", **shared)
    two = settings(monkeypatch, CALLSHEET_DATA_DIR="/data/two", **shared)

    assert one.scratch_dir.parent == two.scratch_dir.parent == tmp_path
    assert one.scratch_dir.name != two.scratch_dir.name
    assert one.scratch_dir.name.startswith(f"callsheet-{os.geteuid()}-")
    assert one.scratch_dir_of("render").parent == Path("/mnt/renders")
    assert one.scratch_dir_of("preview") == one.scratch_dir_of("transcode") == one.scratch_dir
    assert one.scratch_dirs == (one.scratch_dir, one.scratch_dir_of("render"))


def test_without_a_folder_the_scratch_space_is_in_the_data_folder(monkeypatch):
    assert settings(monkeypatch, CALLSHEET_DATA_DIR="/data").scratch_dirs == (Path("/data/work"),)


def test_limits_of_temporary_files_are_read_in_days_and_gigabytes(monkeypatch):
    read = settings(monkeypatch, CLEANUP_AGE_DAYS="14", MAX_TEMP_SIZE_GB="0.5")
    defaults = Settings.model_fields

    assert (read.temp_max_age, read.temp_max_bytes) == (timedelta(days=14), 500_000_000)
    assert (defaults["temp_max_age"].default, defaults["temp_max_bytes"].default) == (timedelta(days=7), 50 * 10**9)


@pytest.mark.parametrize(
    ("variable", "message"),
    [("CLEANUP_AGE_DAYS", "is not a duration"), ("MAX_TEMP_SIZE_GB", "must be a number of gigabytes")],
)
def test_a_limit_of_temporary_files_that_is_no_number_is_rejected(monkeypatch, variable, message):
    with pytest.raises(ValidationError, match=message):
        settings(monkeypatch, **{variable: "much"})
